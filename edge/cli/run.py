"""`edge run`: the daemon."""

from __future__ import annotations

import time

import click

from edge.cli import Failure
from edge.cli.places import site
from edge.errors import EXIT_UNWELL, LinkError
from edge.liveness import daemon_pid
from edge.ports import LedgerError

EXIT_RESTART = 75
"""EX_TEMPFAIL of sysexits.h: systemd starts the daemon again, and callers are adopted."""
WAY_SECONDS = 2.0
"""So long a daemon that will be in reserve gives way to the one that serves, before it takes a second of a processor to import:
that one may just have taken over from it, and has callers to adopt."""


@click.command("run")
@click.option(
    "--reserve",
    is_flag=True,
    help="While another daemon serves on this ledger, wait, loaded and ready, and serve the moment that it ends.",
)
@click.pass_obj
def command(path: str, *, reserve: bool) -> None:
    """Serve calls until stopped (SIGTERM). The switch keeps its callers whenever this ends.

    Exit codes: 69 the switch does not do what it is asked, 70 our loop hung, 75 anything else that a new start may mend
    (systemd starts it again after these); 78 somebody must mend the configuration first.
    """
    if reserve and daemon_pid(site().ledger_url) is not None:
        time.sleep(WAY_SECONDS)
    from edge.daemon import run
    from edge.pbx.asterisk.guard import SwitchUnwellError
    from edge.recorder import BacklogFullError
    from edge.runtime import InboxFullError

    try:
        run(path, reserve=reserve)
    except SwitchUnwellError as error:
        raise Failure(str(error), EXIT_UNWELL) from error
    except (LedgerError, LinkError, InboxFullError, BacklogFullError) as error:
        raise Failure(str(error), EXIT_RESTART) from error
