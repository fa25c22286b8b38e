"""Runs probes one after the other. Whatever becomes of one, the next one runs and the result is whole."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import socket
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from edge.errors import LinkError, PermanentError, RefusedError
from edge.version import VERSION
from hwtest.bench.machine import LoadMeter, describe_machine
from hwtest.lab.packages import LabError
from hwtest.probes.contract import NotMeasuredError, Probe, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.report.result import Meanwhile, ProbeResult, Run, TargetDescription, verdict_of
from hwtest.site import Site
from hwtest.target import Target
from hwtest.useragent import CallEnded, SipError

INTERRUPTED = "ended by a person before it was done"
REPORT_IT = "report this line to those who maintain hwtest; the other probes are not affected"
_NETWORK = frozenset(
    {
        errno.EADDRINUSE,
        errno.EADDRNOTAVAIL,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EINVAL,
        errno.EMSGSIZE,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENOBUFS,
    }
)
"""Of the operating system's errors those that come from a socket; EINVAL is a way that begins at another address of ours."""
TROUBLE = (LinkError, PermanentError, RefusedError, LabError, SipError, OSError, TimeoutError)
"""What a target, a lying or a dead one included, may do to a probe: not measured, with what was said."""


class Watcher(Protocol):
    """Who is told how a run goes."""

    def started(self, probe: Probe) -> None:
        """A probe begins."""

    def progress(self, words: str) -> None:
        """How far it is."""

    def finished(self, result: ProbeResult) -> None:
        """It is done."""


async def run(site: Site, probes: Sequence[Probe], watcher: Watcher, what: Sequence[str], seed: int) -> Run:
    """Every probe in order. When it is cancelled (Ctrl-C) it returns what there is, the rest as not measured."""
    began, meter, target = datetime.now(UTC), time.monotonic(), describe_target(site.target)
    results, interrupted = list[ProbeResult](), False
    site.say = watcher.progress
    for probe in probes:
        watcher.started(probe)
        if interrupted:
            result = _untouched(probe, INTERRUPTED, f"hwtest run {probe.name}")
        else:
            result, interrupted = await _run_one(site, probe)
        results.append(result)
        watcher.finished(result)
    verdict = verdict_of(tuple(results))
    return Run(
        hwtest_version=VERSION,
        what=tuple(what),
        seed=seed,
        started_utc=_utc(began),
        seconds=time.monotonic() - meter,
        target=target,
        machine=describe_machine(site.target.lab.asterisk_version if site.target.lab else "not known"),
        verdict=verdict,
        exit_status=verdict.exit_status,
        interrupted=interrupted,
        redacted=False,
        probes=tuple(results),
    )


async def _run_one(site: Site, probe: Probe) -> tuple[ProbeResult, bool]:
    """Its result, and whether a person has ended the run meanwhile."""
    sheet = Sheet(probe, site.target.thresholds.get(probe.name, {}))
    began, start, load = datetime.now(UTC), time.monotonic(), LoadMeter()
    reason: str | None = None
    mend: str | None = None
    interrupted = False
    try:
        site.admit(probe)
    except NotMeasuredError as refusal:
        return _untouched(probe, refusal.reason, refusal.mend), False
    try:
        async with asyncio.timeout(probe.limit_seconds) as limit:
            site.interlock.on_wait = lambda seconds: limit.reschedule((limit.when() or 0) + seconds)
            await probe.measure(site, sheet)
    except asyncio.CancelledError:
        interrupted = _take_back_cancellation()
        reason, mend = (
            (INTERRUPTED, "let it run to its end")
            if interrupted
            else ("a fault of hwtest itself: a task that the probe waited for was cancelled", REPORT_IT)
        )
    except NotMeasuredError as error:
        reason, mend = error.reason, error.mend
    except TROUBLE as error:
        if isinstance(error, TimeoutError) and limit.expired():
            seconds = time.monotonic() - start
            reason = f"it was not done after {seconds:.0f} s, where {probe.seconds:.0f} are usual"
            mend = "look whether the target or this machine is busy, and run it again"
        else:
            reason, mend = _trouble(error), _mend(error, probe, site.target)
    except Exception as error:  # noqa: BLE001 - a fault of ours in one probe must not cost the others
        reason = f"a fault of hwtest itself: {type(error).__name__} at {_place(error)}: {error}"
        mend = REPORT_IT
    seen = load.read()
    return ProbeResult(
        name=probe.name,
        number=probe.number,
        title=probe.title,
        level=probe.level.value,
        term=probe.term,
        reference=probe.reference,
        meaning=probe.meaning,
        verdict=_verdict(sheet, reason),
        started_utc=_utc(began),
        seconds=time.monotonic() - start,
        figures=tuple(sheet.figures),
        findings=tuple(sheet.findings),
        ladders=tuple(sheet.ladders),
        plots=tuple(sheet.plots),
        artefacts=tuple(sheet.artefacts),
        notes=tuple(sheet.notes),
        reason=reason,
        mend=mend,
        meanwhile=Meanwhile(
            load_average=seen.load_average,
            busy_share=seen.busy_share,
            steal_share=seen.steal_share,
            clock_step_ms=seen.clock_step_ms,
        ),
    ), interrupted


def _verdict(sheet: Sheet, reason: str | None) -> Verdict:
    """A probe that did not come to its end has not passed; what it saw fail all the same has failed."""
    if reason is not None and sheet.verdict is not Verdict.FAIL:
        return Verdict.NOT_MEASURED
    return sheet.verdict


def _take_back_cancellation() -> bool:
    """The run goes on to its report: the cancellation has done its work, which was to end the probe. False: nobody had asked for
    one."""
    task, asked = asyncio.current_task(), False
    while task is not None and task.cancelling():
        task.uncancel()
        asked = True
    return asked


def _trouble(error: BaseException) -> str:
    match error:
        case CallEnded():
            status = f"with status {error.status}" if error.status else "without an answer"
            return f"a call ended {status} before it was measured"
        case TimeoutError():
            return "the target did not answer in time"
        case OSError() if _is_of_the_network(error):
            return f"the network refuses: {error.strerror or error}"
        case OSError():
            return f"this machine refuses: {error.strerror or error}" + (
                f": {error.filename}" if error.filename else ""
            )
    return str(error)


def _mend(error: BaseException, probe: Probe, target: Target) -> str:
    if isinstance(error, OSError) and error.errno in (errno.EADDRNOTAVAIL, errno.EINVAL):
        return f"{target.local_address} must be this machine's own address on the way there: local_address in {target.source}"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"make room in {tempfile.gettempdir()}, or name another folder by TMPDIR"
    return f"hwtest explain {probe.name}"


def _is_of_the_network(error: OSError) -> bool:
    return isinstance(error, ConnectionError | socket.gaierror) or error.errno in _NETWORK


def _place(error: BaseException) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if frame is None:
        return "an unknown place"
    return f"{frame.tb_frame.f_code.co_filename.rpartition('/')[2]}:{frame.tb_lineno}"


def _untouched(probe: Probe, reason: str, mend: str) -> ProbeResult:
    return ProbeResult(
        name=probe.name,
        number=probe.number,
        title=probe.title,
        level=probe.level.value,
        term=probe.term,
        reference=probe.reference,
        meaning=probe.meaning,
        verdict=Verdict.NOT_MEASURED,
        started_utc=_utc(datetime.now(UTC)),
        seconds=0.0,
        begun=False,
        reason=reason,
        mend=mend,
    )


def describe_target(target: Target) -> TargetDescription:
    """What stands of a target in a result."""
    # lab.json itself has the processes' ids, which change with each start
    file = Path(target.lab.config) if target.lab is not None else target.source
    digest = hashlib.sha256(file.read_bytes() if file.is_file() else b"")
    return TargetDescription(
        name=target.name,
        kind=target.kind.value,
        sip=f"{target.sip.host}:{target.sip.port}",
        source=str(target.source),
        fingerprint=digest.hexdigest(),
    )


def _utc(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
