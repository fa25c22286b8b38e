"""`hwtest accept`."""

from __future__ import annotations

import sys
from typing import Any

import click

from hwtest.commands.probing import Wishes, perform, probing_options


@click.command("accept")
@probing_options
def command(**wishes: Any) -> None:
    """Everything that is safe on a live appliance, one call at a time. Attach the page (--html) to the handover.

    Exit status 0: all pass; 1: warnings; 2: something failed; 3: something could not be measured, which is never a pass.
    """
    sys.exit(perform(("accept",), Wishes(**wishes)))
