"""Whatever becomes of a probe, the run is whole and says what was not measured, and why."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from edge.errors import LinkError
from hwtest.commands import probing
from hwtest.probes.contract import Level, Measure, NotMeasuredError, Probe, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.report.result import ProbeResult, Run
from hwtest.running import INTERRUPTED, run
from hwtest.site import Site
from hwtest.useragent import CallEnded, SipError
from tests.probes.made import LIVE, made_probe


class Told:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, probe: Probe) -> None:
        """A probe begins."""
        self.lines.append(f"started {probe.name}")

    def progress(self, words: str) -> None:
        """How far it is."""
        self.lines.append(words)

    def finished(self, result: ProbeResult) -> None:
        """It is done."""
        self.lines.append(f"finished {result.name} {result.verdict.value}")


async def good(site: Site, sheet: Sheet) -> None:
    """One that passes."""
    site.say("1 of 1")
    sheet.distribution("delay", "ms", [1.0] * 20)


def bad(error: BaseException, after: tuple[float, ...] = ()) -> Measure:
    """One that raises, perhaps when it has written something down."""

    async def measure(_site: Site, sheet: Sheet) -> None:
        if after:
            sheet.distribution("delay", "ms", after)
        raise error

    return measure


async def run_all(tmp_path: Path, *probes: Probe, watcher: Told | None = None) -> Run:
    """A run on a live target."""
    async with Site(LIVE, tmp_path) as site:
        return await run(site, probes, watcher or Told(), ["made"], 1)


async def test_a_good_run(tmp_path: Path) -> None:
    """Everything passes: 0; who watches is told in order."""
    told = Told()
    made = await run_all(tmp_path, made_probe(good), watcher=told)
    assert (made.verdict, made.exit_status, made.interrupted) == (Verdict.PASS, 0, False)
    assert told.lines == ["started made.up", "1 of 1", "finished made.up pass"]
    assert made.probes[0].figures[0].n == 20


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotMeasuredError("no wire", "be root"), "no wire"),
        (LinkError("AMI 127.0.0.1:5038: no answer"), "AMI 127.0.0.1:5038: no answer"),
        (SipError("the registrar answered 403 Forbidden"), "the registrar answered 403 Forbidden"),
        (CallEnded(503), "a call ended with status 503 before it was measured"),
        (CallEnded(None), "a call ended without an answer"),
        (TimeoutError(), "the target did not answer in time"),
        (ConnectionRefusedError(111, "Connection refused"), "the network refuses: Connection refused"),
        (
            FileNotFoundError(2, "No such file or directory", "sipp"),
            "this machine refuses: No such file or dir",
        ),
        (
            asyncio.CancelledError(),
            "a fault of hwtest itself: a task that the probe waited for was cancelled",
        ),
        (
            ZeroDivisionError("division by zero"),
            "a fault of hwtest itself: ZeroDivisionError at test_running.py:",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_trouble_is_not_measured(tmp_path: Path, error: BaseException, reason: str) -> None:
    """With the reason and what mends it; the next probe runs, and the whole is never a pass."""
    made = await run_all(tmp_path, made_probe(bad(error)), made_probe(good, name="made.next"))
    first, second = made.probes
    assert first.verdict is Verdict.NOT_MEASURED
    assert first.reason is not None and first.reason.startswith(reason)
    assert first.mend
    assert second.verdict is Verdict.PASS
    assert made.exit_status == 3


async def test_what_was_measured_before_the_trouble_stays(tmp_path: Path) -> None:
    """A figure that passed makes no pass of a probe that did not end; one that failed has failed."""
    error = NotMeasuredError("the rest", "wait")
    made = await run_all(tmp_path, made_probe(bad(error, (1.0,) * 20)), made_probe(bad(error, (99.0,) * 20)))
    assert [result.verdict for result in made.probes] == [Verdict.NOT_MEASURED, Verdict.FAIL]
    assert [len(result.figures) for result in made.probes] == [1, 1]
    assert made.exit_status == 2


async def test_a_probe_that_judged_nothing_has_not_passed(tmp_path: Path) -> None:
    """An empty sheet."""
    assert (await run_all(tmp_path, made_probe())).exit_status == 3


async def test_a_probe_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its limit; the run goes on."""

    async def hang(_site: Site, _sheet: Sheet) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Probe, "limit_seconds", property(lambda probe: probe.seconds))
    made = await run_all(tmp_path, made_probe(hang, seconds=0.01), made_probe(good))
    assert [result.verdict for result in made.probes] == [Verdict.NOT_MEASURED, Verdict.PASS]
    assert made.probes[0].reason == "it was not done after 0 s, where 0 are usual"


async def test_an_address_that_is_not_ours_is_said(tmp_path: Path) -> None:
    """A profile that was made for another laptop: where to mend it."""
    error = OSError(99, "Cannot assign requested address")
    made = await run_all(tmp_path, made_probe(bad(error)))
    assert made.probes[0].mend is not None and "local_address in appliance.toml" in made.probes[0].mend


@pytest.mark.parametrize("how", ["cancelled", "broken"])
async def test_what_was_measured_outlives_the_closing(tmp_path: Path, how: str) -> None:
    """A person may end the last goodbye, and something may be wrong with it: the report is there all the same."""
    closing = asyncio.Event()

    async def goodbye() -> None:
        closing.set()
        if how == "broken":
            raise OSError(5, "Input/output error")
        await asyncio.Event().wait()

    async def measure(site: Site, sheet: Sheet) -> None:
        sheet.distribution("delay", "ms", [1.0] * 20)
        site._stack.push_async_callback(goodbye)

    work = probing._run(Site(LIVE, tmp_path), [made_probe(measure)], Told(), ["made"], 1)
    task = asyncio.create_task(work)
    await closing.wait()
    if how == "cancelled":
        task.cancel()
    made = await task
    assert (made.verdict, made.interrupted) == (Verdict.PASS, False)


async def test_an_interruption_still_gives_a_whole_result(tmp_path: Path) -> None:
    """What ran is kept, what did not is not measured."""
    running = asyncio.Event()

    async def long(_site: Site, sheet: Sheet) -> None:
        sheet.distribution("delay", "ms", [1.0] * 20)
        running.set()
        await asyncio.Event().wait()

    probes = [made_probe(good), made_probe(long), made_probe(good)]
    task = asyncio.create_task(run_all(tmp_path, *probes))
    await running.wait()
    task.cancel()
    made = await task
    assert (made.interrupted, made.exit_status) == (True, 3)
    assert [(p.verdict, p.begun, p.reason, len(p.figures)) for p in made.probes] == [
        (Verdict.PASS, True, None, 1),
        (Verdict.NOT_MEASURED, True, INTERRUPTED, 1),
        (Verdict.NOT_MEASURED, False, INTERRUPTED, 0),
    ]


async def test_load_is_not_even_begun_on_a_live_target(tmp_path: Path) -> None:
    """The interlock refuses it before anything of it runs."""

    async def never(_site: Site, _sheet: Sheet) -> None:
        pytest.fail("it ran")

    (result,) = (await run_all(tmp_path, made_probe(never, level=Level.LAB))).probes
    assert (result.verdict, result.begun) == (Verdict.NOT_MEASURED, False)
    assert result.reason is not None and "not marked as a lab" in result.reason


async def test_waiting_for_the_interlock_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe on a live target may have to wait a minute for its next call."""

    async def wait(site: Site, sheet: Sheet) -> None:
        site.interlock.on_wait(60)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):  # longer than its limit without the wait
                await asyncio.Event().wait()
        sheet.distribution("delay", "ms", [1.0] * 20)

    monkeypatch.setattr(Probe, "limit_seconds", property(lambda probe: probe.seconds))
    assert (await run_all(tmp_path, made_probe(wait, seconds=0.01))).exit_status == 0
