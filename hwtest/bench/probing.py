"""Instruments of the probes in a measurement: the lab as their target, with a private folder."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from edge.errors import LinkError
from hwtest.bench.rig import Rig, RigError
from hwtest.lab.contract import FILE
from hwtest.probes.contract import NotMeasuredError
from hwtest.site import Site
from hwtest.target import TargetError, of_lab


@asynccontextmanager
async def site_of(rig: Rig) -> AsyncIterator[Site]:
    """The lab of a rig. RigError in place of what a probe raises when it cannot measure."""
    try:
        with tempfile.TemporaryDirectory(prefix="edge101-bench-") as folder:
            target = of_lab(rig.lab, Path(rig.lab.directory, FILE))
            async with Site(target, Path(folder), lab_allowed=True) as site:
                site.say = rig.progress
                yield site
    except NotMeasuredError as error:
        raise RigError(f"{error.reason}; {error.mend}") from error
    except (TargetError, LinkError) as error:
        raise RigError(str(error)) from error
