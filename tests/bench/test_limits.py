"""Answers at a rate, the zero-failure rate, mouth to ear, and hwtest itself: what is said of measurements made by hand."""

from collections.abc import Sequence

import pytest

from hwtest.bench import answers, faults, finding, mouth, rate
from hwtest.bench.machine import Load
from hwtest.bench.readings import Reach, arrival_rate
from hwtest.bench.results import Figure
from hwtest.bench.rig import OURS, PLAIN_DIAL, PLAIN_QUEUE, Measured
from hwtest.capture import Taken
from hwtest.lab.faults import FAULTS
from hwtest.probes.contract import Finding, Layer, Verdict
from hwtest.probes.registry import all_probes
from hwtest.report.result import ProbeResult
from hwtest.sipp.ramp import Pass
from hwtest.softphone.latency import Latency, Mouth
from tests.bench.test_readings import CALLERS, message
from tests.bench.test_report import block

LOAD = Load(1, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("ours", "expected"),
    [(2.0, [True, True]), (4.1, [False, True]), (6.1, [False, False])],
)
def test_answers_have_a_ratio_and_a_limit(ours: float, expected: list[bool]) -> None:
    """Twice app_queue's median, and 6 ms whatever that is."""
    made = answers.figures([block(OURS, [ours] * 9), block(PLAIN_QUEUE, [2.0] * 9)])
    assert [figure.met for figure in made if figure.target] == expected


def test_what_was_offered_is_read_off_the_wire() -> None:
    """From the first INVITE to the last; one call has no rate."""
    wire = [message(at, 2, 1, "INVITE", f"call-{at}") for at in (0, 50, 100, 150)]
    assert arrival_rate(wire, CALLERS) == pytest.approx(20.0)
    assert arrival_rate(wire[:1], CALLERS) == 0.0


# The zero-failure rate


def found(system: str, *held: tuple[float, int]) -> rate.Found:
    """A system whose rate was held with so many failures, one after the other."""
    passes = [Pass(rate=r, calls=2000, failed=failed, offered=r, answer_ms=9.0) for r, failed in held]
    return rate.Found(system=system, searched=[], held=passes)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([(100, 0)], [(120, 0)], [True, True]),
        ([(100, 3), (80, 0)], [(120, 0)], [True, False]),
        ([(19, 0)], [(19, 0)], [False, True]),
        ([(40, 1), (32, 1), (25, 1)], [(40, 0)], [False, False]),
        ([(100, 0)], [], [True, None]),
    ],
)
def test_zero_failure_rate(
    ours: Sequence[tuple[float, int]], theirs: Sequence[tuple[float, int]], expected: list[bool | None]
) -> None:
    """What was held to its end without a failure counts, and nothing is compared with a rate that was never found."""
    made = rate.figures(found(OURS, *ours), found(PLAIN_QUEUE, *theirs), rate.Plan(calls=2000))
    assert [figure.met for figure in made if figure.target] == expected
    assert not any(figure.small for figure in made)
    assert all(
        f.small
        for f in rate.figures(found(OURS, (50, 0)), found(PLAIN_QUEUE, (50, 0)), rate.Plan(calls=9))
        if f.target
    )


def test_a_rate_at_which_a_backlog_grows_does_not_hold() -> None:
    """Though every call was answered in the end."""
    late = Pass(rate=80, calls=2000, failed=0, offered=80, answer_ms=501.0)
    then = Pass(rate=64, calls=2000, failed=0, offered=64, answer_ms=40.0)
    made = rate.Found(system=OURS, searched=[], held=[late, then])
    assert (made.rate, made.limited) == (64, True)


def test_a_rate_that_was_not_offered_was_not_taken() -> None:
    """SIPp came to its end before the switch: nothing is said of that rate, and nothing was missed."""
    short = Pass(rate=400, calls=2000, failed=0, offered=250, answer_ms=9.0)
    then = Pass(rate=280, calls=2000, failed=0, offered=270, answer_ms=9.0)
    assert rate.Found(system=OURS, searched=[], held=[short, then]).rate == 280
    nothing = rate.Found(system=OURS, searched=[short], held=[short])
    made = rate.figures(nothing, found(PLAIN_QUEUE, (100, 0)), rate.Plan(calls=2000))
    assert [(figure.met, figure.measured) for figure in made] == [(None, False)] * 2
    assert "250/s offered" in made[0].notes[0]
    theirs = rate.Found(system=PLAIN_QUEUE, searched=[short], held=[])
    beside = rate.figures(found(OURS, (100, 0)), theirs, rate.Plan(calls=2000))[-1]
    assert (beside.measured, "could not offer" in beside.notes[0]) == (False, True)


def test_a_capture_that_lost_packets_blames_no_daemon() -> None:
    """Who was not seen to reach an agent would count with twelve seconds."""
    reaches = [Reach(0, None), *[Reach(0, 10_000_000)] * (faults.PROBES - 1)]
    load = Load(1, 0, 0, 0, 0)
    lost, whole = (Measured(Taken(records=[], dropped=dropped), load, frozenset()) for dropped in (3, 0))
    assert faults._block("killed", lost, reaches).invalid == "3 packets lost by the capture"
    assert faults._block("killed", whole, reaches).invalid is None
    assert faults._block("killed", whole, reaches[1:]).invalid == f"8 of {faults.PROBES} calls on the wire"


# Mouth to ear


def call(system: str, forth: Sequence[float], back: Sequence[float], spoken: int = 2) -> mouth.Call:
    """One call in which these delays were heard."""
    ways = [[Mouth(milliseconds=each, confidence=9) for each in way] for way in (forth, back)]
    return mouth.Call(system=system, latency=Latency(forth=ways[0], back=ways[1], spoken=spoken), load=LOAD)


def by_system(figures: Sequence[Figure]) -> dict[str, Figure]:
    """Its rows."""
    return {figure.system: figure for figure in figures}


def test_the_phones_own_delay_is_subtracted_and_the_frames_phase_with_it() -> None:
    """What is added is half of both ways together: 10 ms more one way and as much less the other change nothing."""
    calls = [
        call(mouth.DIRECT, [20, 30], [30, 20]),
        *[call(OURS, [40, 50], [50, 40])] * 5,
        call(PLAIN_DIAL, [30, 40], [40, 30]),
    ]
    made = by_system(mouth.outcome(calls).figures)
    ours, dialled = made[OURS].summary, made[PLAIN_DIAL].summary
    assert ours is not None and dialled is not None
    assert (ours.p95, made[OURS].met, dialled.p50) == (20.0, True, 10.0)
    assert "the phones' own 25.0 ms one way (p50, n 2) are subtracted" in made[OURS].notes


def test_a_call_with_a_lost_chirp_does_not_count() -> None:
    """Its forth and back are not of the same turn any more; and without the phones' own nothing is measured."""
    lost = call(OURS, [90], [90, 90])
    made = mouth.outcome([call(mouth.DIRECT, [20, 20], [20, 20]), lost])
    assert not by_system(made.figures)[""].measured
    assert made.blocks[1].invalid == "1 chirps not found"
    few = mouth.outcome([call(mouth.DIRECT, [20, 20], [20, 20]), *[call(OURS, [40], [40], 1), lost] * 2])
    assert not by_system(few.figures)[OURS].measured
    assert not any(figure.measured for figure in mouth.outcome([lost]).figures)


# hwtest itself


def result(name: str, verdict: Verdict, *layers: Layer, reason: str | None = None) -> ProbeResult:
    """What a probe came to, with a finding for each layer."""
    made = tuple(
        Finding(
            code=f"{name}.x",
            layer=layer,
            verdict=verdict,
            summary="s",
            evidence=(),
            meaning="m",
            caller_notices="c",
            causes=(),
            confirm="c",
            mend="m",
        )
        for layer in layers
    )
    return ProbeResult(
        name=name,
        number=1,
        title="t",
        level="safe",
        verdict=verdict,
        started_utc="",
        seconds=0,
        term="",
        reference="",
        meaning="",
        findings=made,
        reason=reason,
    )


def test_every_seeded_fault_is_there_and_has_a_probe() -> None:
    """Twelve at the least, by the names that `hwtest lab fault` has, and clean runs of probes that there are."""
    known = {probe.name for probe in all_probes()}
    assert len(set(finding.SEEDED)) >= 12
    assert {probe for name in finding.SEEDED for probe in FAULTS[name].found_by} | set(finding.CLEAN) <= known


def test_a_fault_is_found_by_its_layer_alone() -> None:
    """Another layer blamed, nothing found or nothing measured is a fault that was missed, and says what was told instead."""
    fault = FAULTS["one-way-audio"]
    assert finding.judge(fault, [result("p", Verdict.FAIL, Layer.SWITCH, Layer.NETWORK)]) == ""
    told = finding.judge(fault, [result("p", Verdict.FAIL, Layer.SWITCH)])
    assert told == "one-way-audio is the network's: p.x (switch)"
    unable = finding.judge(fault, [result("p", Verdict.NOT_MEASURED, reason="no phones")])
    assert unable == "one-way-audio is the network's: nothing found; no phones"


def test_a_clean_run_has_nothing_red_and_is_measured() -> None:
    """A warning is no red; a probe that could not measure makes no clean run."""
    assert finding.blames([result("p", Verdict.WARN, Layer.SWITCH), result("q", Verdict.PASS)]) == ""
    assert finding.blames([result("p", Verdict.FAIL, Layer.SWITCH)]) == "p.x"
    assert finding.blames([result("p", Verdict.NOT_MEASURED, reason="r")]) == "p not measured (r)"


def test_rows_of_hwtest_itself() -> None:
    """None may be missed, none be blamed; on fewer clean runs it is marked."""
    good = finding.figures([], [], finding.Plan())
    assert [(f.met, f.small, f.unit) for f in good] == [(True, False, "of 12"), (True, False, "of 20")]
    bad = finding.figures(["a: nothing found"], ["run 3: b"], finding.Plan(clean=5))
    assert [(f.met, f.small, f.value) for f in bad] == [(False, False, 1), (False, True, 1)]
    assert "a: nothing found" in bad[0].notes and "run 3: b" in bad[1].notes
