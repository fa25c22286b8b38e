"""`edge run`: the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys

import click
import structlog

from edge import config, logs
from edge.cli import Failure
from edge.clock import SystemClock
from edge.config.findings import Finding, Level
from edge.config.languages import FIRST, lacking
from edge.core.model import Policy
from edge.directory import NumberList
from edge.errors import LinkError
from edge.knowledge import Callers
from edge.ledger import open_ledger
from edge.ledger.executor import ThreadCommitExecutor
from edge.ledger.store import open_reader
from edge.pbx.asterisk.switch import AsteriskPbx
from edge.ports import LedgerError
from edge.recorder import BacklogFullError
from edge.runtime import InboxFullError, Runtime
from edge.version import VERSION
from edge.views.caller import ensure_key

EXIT_RESTART = 75
"""EX_TEMPFAIL of sysexits.h: systemd starts the daemon again, and callers are adopted."""

log = structlog.get_logger(__name__)


SWITCH_INTERVAL_SECONDS = 0.0005
"""How long the loop may keep the ledger's thread from running, and the other way round; Python's own 5 ms is a dispatch."""


NICENESS = -5
"""A caller waits for us, so we go before housekeeping; only where the system allows it (systemd: Nice=)."""


def _prepare_process() -> None:
    """Trade throughput for latency: short turns between the two threads, and no collector walking what never dies."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    gc.collect()
    gc.freeze()


def serve(configuration: config.Configuration) -> None:
    """Compose the daemon and run it until it is told to stop. Raises what ended it otherwise."""
    _prepare_process()
    policy = configuration.policy()
    ledger = open_ledger(configuration.ledger.url)
    ensure_key(configuration.ledger.url)
    executor = ThreadCommitExecutor(ledger)
    try:
        pbx = AsteriskPbx(configuration.asterisk_settings(), policy)
        callers = known_callers(configuration, policy)
        asyncio.run(_until_stopped(Runtime(policy, pbx, ledger, executor, SystemClock(), callers)))
    finally:
        executor.close()
        ledger.close()


def known_callers(configuration: config.Configuration, policy: Policy) -> Callers:
    """Who knows of callers' numbers: the configuration's list and ledger."""

    def doubts(numbers: NumberList) -> list[Finding]:
        """What prevents a start with this list prevents taking it over, too."""
        found = numbers.unknown_classes(configuration.class_names)
        for language in sorted(numbers.languages - {FIRST}):
            if missing := lacking(language, configuration.prompts):
                found.append(Finding(Level.ERROR, str(configuration.number_list.file), *missing))
        return found

    return Callers(
        policy,
        lambda: contextlib.closing(open_reader(configuration.ledger.url)),
        list_file=configuration.number_list.file,
        timezone=configuration.site.timezone,
        doubts=doubts,
    )


async def _until_stopped(runtime: Runtime) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, runtime.stop, signal.Signals(number).name)
    await runtime.run()


@click.command("run")
@click.pass_obj
def command(path: str) -> None:
    """Serve calls until stopped (SIGTERM). The switch keeps its callers whenever this ends.

    Exit code 75: start it again (systemd does). 78: somebody must mend the configuration first.
    """
    configuration = config.load(path)
    logs.configure(configuration.log.level, configuration.log.format)
    for finding in configuration.warnings:
        log.warning("configuration", finding=str(finding))
    log.info("starting", version=VERSION, site=configuration.site.name, policy=configuration.digest[:12])
    try:
        serve(configuration)
    except (LedgerError, LinkError, InboxFullError, BacklogFullError) as error:
        raise Failure(str(error), EXIT_RESTART) from error
    log.info("stopped")
