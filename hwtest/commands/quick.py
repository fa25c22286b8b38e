"""`hwtest quick`."""

from __future__ import annotations

import sys
from typing import Any

import click

from hwtest.commands.probing import Wishes, perform, probing_options


@click.command("quick")
@probing_options
def command(**wishes: Any) -> None:
    """Is the meter good, does the switch answer, does one call get through with audio both ways? Under a minute.

    Exit status 0: all pass; 1: warnings; 2: something failed; 3: something could not be measured, which is never a pass.
    """
    sys.exit(perform(("quick",), Wishes(**wishes)))
