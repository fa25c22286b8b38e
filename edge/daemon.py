"""The daemon, put together: what `edge run` does once it has said what it is.

Importing this takes a second of processor time, most of what a daemon takes to start.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import os
import signal
import sys
from collections.abc import Callable, Collection, Mapping

import structlog

from edge import config, logs
from edge.clock import SystemClock
from edge.config.findings import Finding, Level
from edge.config.languages import FIRST, lacking
from edge.core.inputs import LedgerMended
from edge.core.model import CallState, Policy
from edge.core.state import State
from edge.directory import NumberList
from edge.errors import LinkError, PermanentError
from edge.heartbeat import Heartbeat
from edge.knowledge import Callers
from edge.ledger.executor import ThreadCommitExecutor
from edge.ledger.mending import Mended, MendingLedger, open_mended
from edge.ledger.place import Lock
from edge.ledger.store import SqlLedger, lock_ledger, open_reader, sqlite_path
from edge.liveness import daemon_pid, reserve_pids
from edge.notify import Supervisor
from edge.pbx.asterisk.switch import AsteriskPbx
from edge.ports import LedgerError
from edge.reserve import Reserve
from edge.runtime import Runtime, recall
from edge.selfwatch import Leave, SelfWatch
from edge.version import VERSION
from edge.views.caller import ensure_key
from edge.views.reading import open_state

log = structlog.get_logger(__name__)


SWITCH_INTERVAL_SECONDS = 0.0005
"""How long the loop may keep the ledger's thread from running, and the other way round; Python's own 5 ms is a dispatch."""


ON_THE_LINE = frozenset(
    {
        CallState.WAITING,
        CallState.OFFERED,
        CallState.CONNECTING,
        CallState.TALKING,
        CallState.PROMISED,
        CallState.CHECKING,
    }
)

NICENESS = -5
"""A caller waits for us, so we go before housekeeping; only where the system allows it (systemd: Nice=)."""
LEAVING_SECONDS = 0.5
"""So long a stop waits for the switch to take over the 999 that wait; what it has not taken by then, its dead-man does."""
COLLECT_AFTER = 10_000
"""New objects until the collector looks at them. A decision makes hundreds, nearly all of which go by themselves; at Python's own
700 it looks once in each."""


def prepare_process() -> None:
    """Trade throughput for latency: short turns between the two threads, and no collector walking what never dies."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    faulthandler.enable()  # a watchdog's SIGABRT then shows where we stand
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 50)


def serve(configuration: config.Configuration, lock: Lock | None = None) -> None:
    """Compose the daemon and run it until it is told to stop. Raises what ended it otherwise.

    `lock`: the ledger's, where it is ours already.
    """
    prepare_process()
    policy, supervisor, clock = configuration.policy(), Supervisor.of_this_process(), SystemClock()

    def alive() -> None:
        supervisor.alive()
        supervisor.needs_longer()

    def mended_while_serving(done: Mended) -> None:
        log.error("ledger.mended", detail=str(done))
        runtime.post_from_thread(LedgerMended(detail=str(done)))

    ledger, recalled, mended = open_mended(configuration.ledger.url, recall, clock.now(), lock, alive)
    if mended is not None:
        log.error("ledger.mended", detail=str(mended))
    if (file := sqlite_path(configuration.ledger.url)) is not None and isinstance(ledger, SqlLedger):
        ledger = MendingLedger(ledger, file, clock.now, mended_while_serving)
    ensure_key(configuration.ledger.url)
    executor = ThreadCommitExecutor(ledger)
    heartbeat = Heartbeat.beside(configuration.ledger.url)
    before = None if heartbeat is None else heartbeat.read()

    def is_recording() -> bool:
        return runtime.is_recording

    watch = SelfWatch(
        supervisor,
        None if heartbeat is None else signs_of_life(heartbeat, clock, is_recording),
    )
    try:
        pbx = AsteriskPbx(
            configuration.asterisk_settings(),
            policy,
            lambda: live_calls(runtime.engine.state),
            lambda call_ids: known_calls(configuration.ledger.url, call_ids),
        )
        callers = known_callers(configuration, policy)
        runtime = Runtime(
            policy,
            pbx,
            ledger,
            executor,
            clock,
            callers,
            watch,
            before=before,
            recalled=recalled,
            mended="" if mended is None else str(mended),
        )
        with telling(runtime, configuration.daemon.metrics_port):
            asyncio.run(_until_stopped(runtime, pbx, configuration.ledger.url))
    finally:
        watch.close()
        executor.close()
        ledger.close()


def telling(runtime: Runtime, port: int | None) -> contextlib.AbstractContextManager[object]:
    """The listener for Prometheus while it serves, where the configuration has a port for it."""
    if port is None:
        return contextlib.nullcontext()
    from edge.exposition import start

    told = start(port, runtime.counters, runtime.readings)
    return contextlib.nullcontext() if told is None else contextlib.closing(told)


def signs_of_life(heartbeat: Heartbeat, clock: SystemClock, is_recording: Callable[[], bool]) -> Leave:
    """What the watching thread leaves beside the ledger for the next daemon: nothing while the ledger does not take facts, as
    what is not in it is not known after a kill."""
    boot_id = clock.boot_id()

    def leave(seconds_ago: float, is_hung: bool) -> None:
        if not is_recording():
            return
        heartbeat.write(clock.now().plus(-seconds_ago), boot_id, hung=is_hung)

    return leave


def live_calls(state: State) -> Mapping[str, bool]:
    """The engine's open calls, and whether their caller is on the line for certain (a call-back's is not always)."""
    return {call_id: call.state in ON_THE_LINE for call_id, call in state.calls.items()}


def known_calls(ledger_url: str, call_ids: Collection[str]) -> set[str]:
    """Those of these calls of which the ledger has facts."""
    if not call_ids:
        return set()
    with contextlib.closing(open_reader(ledger_url)) as reader:
        return reader.known_calls(sorted(call_ids))


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


async def _until_stopped(runtime: Runtime, pbx: AsteriskPbx, ledger_url: str) -> None:
    loop = asyncio.get_running_loop()
    leaving: list[asyncio.Task[None]] = []

    async def leave(why: str) -> None:
        """A daemon in reserve adopts everybody in a fraction of a second; without one a 999 must not wait for its dead-man."""
        with contextlib.suppress(TimeoutError, LinkError):
            async with asyncio.timeout(LEAVING_SECONDS):
                if not reserve_pids(ledger_url):
                    await pbx.leave()
        runtime.stop(why)

    def stop(number: signal.Signals) -> None:
        leaving.append(asyncio.create_task(leave(number.name)))

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    await runtime.run()


def in_turn(configuration: config.Configuration, path: str) -> tuple[config.Configuration, Lock]:
    """Wait in reserve while another daemon serves; the configuration as it stands when our turn has come, and the ledger's lock.

    One that was broken meanwhile is no reason to serve nobody: then that which we were started with stays in use.
    """
    if daemon_pid(configuration.ledger.url) is not None:
        rehearse(configuration, configuration.policy())
    reserve = Reserve(Supervisor.of_this_process())
    lock = lock_ledger(configuration.ledger.url, reserve.wait)
    if lock is None:
        raise PermanentError(
            f'{path}: a daemon in reserve needs a ledger in a file. Leave --reserve out, or write [ledger] url = "sqlite:///...".'
        )
    if not reserve.waited:
        return configuration, lock
    log.warning("the daemon before has ended: our turn")
    try:
        current = config.load(path)
    except config.ConfigurationError as error:
        log.error("the configuration was broken meanwhile: the one before stays in use", error=str(error))
        return configuration, lock
    if current.ledger.url != configuration.ledger.url:
        raise LedgerError(f"{path}: [ledger] url is another than when we went into reserve: starting anew")
    return current, lock


def rehearse(configuration: config.Configuration, policy: Policy) -> None:
    """Read what serving begins with, so that whatever is loaded when it is first used has been loaded before our turn."""
    with (
        contextlib.suppress(LedgerError),
        contextlib.closing(open_reader(configuration.ledger.url)) as reader,
    ):
        open_state(reader)
    known_callers(configuration, policy)


def run(path: str, *, reserve: bool) -> None:
    """Serve by the configuration at `path`, in our turn where there is a `reserve`. Raises what ended it."""
    configuration = config.load(path)
    logs.configure(configuration.log.level, configuration.log.format)
    for finding in configuration.warnings:
        log.warning("configuration", finding=str(finding))
    lock = None
    if reserve:
        configuration, lock = in_turn(configuration, path)
    log.info("starting", version=VERSION, site=configuration.site.name, policy=configuration.digest[:12])
    serve(configuration, lock)
    log.info("stopped")
