"""call.release without a switch: stamps in, verdict and finding out."""

from __future__ import annotations

from typing import Any

import pytest

from edge.errors import LinkError, RefusedError
from hwtest.probes.call_release import PROBE, Released, Stamps, _silence_seconds, judge, judge_timer, read
from hwtest.probes.contract import Layer, NotMeasuredError, Verdict
from hwtest.probes.sheet import Sheet

MS = 1_000_000
GOOD: Stamps = {("INVITE", "INVITE"): 0, ("BYE", "BYE"): 5 * MS, ("200", "BYE"): 6 * MS}
OTHER: Stamps = {("INVITE", "INVITE"): 1, ("BYE", "BYE"): 8 * MS, ("200", "BYE"): 9 * MS}


def of(first: Stamps, other: Stamps, calls: int = 3) -> Released:
    """So many calls that all ended alike."""
    released = Released()
    for number in range(calls):
        read(released, first, other, f"call-{number}")
    return released


def found(near: Released, far: Released | None = None, given_up: Released | None = None) -> Sheet:
    """The sheet of three cases, good ones where none is given."""
    sheet, good = Sheet(PROBE), of(GOOD, OTHER)
    judge(sheet, near, far or good, given_up or good)
    return sheet


def test_good_calls_pass() -> None:
    """With the delays of both sides."""
    sheet = found(of(GOOD, OTHER))
    assert (sheet.verdict, sheet.findings) == (Verdict.PASS, [])
    values = {figure.name: figure.value for figure in sheet.figures}
    assert (values["near_end_disconnect_delay"], values["near_end_other_side_told"]) == (1.0, 3.0)


def test_a_cancel_is_measured_from_the_cancel() -> None:
    """To its own 200, not to that of anything else; the phone's CANCEL is what tells it."""
    caller: Stamps = {("CANCEL", "CANCEL"): 5 * MS, ("200", "CANCEL"): 6 * MS, ("487", "INVITE"): 7 * MS}
    phone: Stamps = {("CANCEL", "CANCEL"): 25 * MS}
    sheet = found(of(GOOD, OTHER), given_up=of(caller, phone))
    values = {figure.name: figure.value for figure in sheet.figures}
    assert (values["cancel_disconnect_delay"], values["cancel_other_side_told"]) == (1.0, 20.0)


@pytest.mark.parametrize(
    ("first", "other", "code", "layer", "verdict"),
    [
        ({**GOOD, ("200", "BYE"): 405 * MS}, OTHER, "slow", Layer.SWITCH, Verdict.WARN),
        ({**GOOD, ("200", "BYE"): 805 * MS}, OTHER, "slow", Layer.SWITCH, Verdict.FAIL),
        (GOOD, {**OTHER, ("BYE", "BYE"): 2005 * MS}, "late", Layer.SWITCH, Verdict.FAIL),
        (GOOD, {("INVITE", "INVITE"): 1}, "kept", Layer.SWITCH, Verdict.FAIL),
    ],
)
def test_a_fault_is_named(first: Stamps, other: Stamps, code: str, layer: Layer, verdict: Verdict) -> None:
    """With its layer and the Call-ID of the first call that had it."""
    sheet = found(of(GOOD, OTHER), far=of(first, other))
    codes = {(f.code, f.layer, f.verdict) for f in sheet.findings}
    assert (f"call.release.{code}", layer, verdict) in codes
    assert code != "kept" or sheet.findings[0].evidence[0].call_id == "call-0"
    assert sheet.verdict is not Verdict.PASS


def test_a_bye_without_an_answer_and_a_phone_that_rings_on() -> None:
    """Each has a code of its own; a delay that was never measured is no pass."""
    silent: Stamps = {("BYE", "BYE"): 5 * MS}
    sheet = found(of(silent, OTHER), given_up=of(GOOD, {("INVITE", "INVITE"): 1}))
    assert {(f.code, f.layer) for f in sheet.findings} == {
        ("call.release.unanswered", Layer.SWITCH),
        ("call.release.rings-on", Layer.DAEMON),
    }
    figures = {figure.name: figure for figure in sheet.figures}
    assert figures["near_end_disconnect_delay"].verdict is Verdict.NOT_MEASURED


@pytest.mark.parametrize(
    ("agreed", "silence", "verdict", "lasts"),
    [
        ([1800, 1800], None, Verdict.PASS, 1800),
        ([1800, None], 0, Verdict.FAIL, None),
        (
            [1800, None],
            None,
            Verdict.NOT_MEASURED,
            None,
        ),  # silence may end it: without a control link nobody knows
        ([None, None], 60, Verdict.PASS, 60),
        ([3600], None, Verdict.WARN, 3600),
        ([86400], None, Verdict.FAIL, 86400),
        ([86400], 60, Verdict.PASS, 60),
        ([], None, Verdict.NOT_MEASURED, None),
    ],
)
def test_a_side_that_dies(
    agreed: list[int | None], silence: int | None, verdict: Verdict, lasts: int | None
) -> None:
    """What bounds it, whichever comes first; nothing at all is a failure of the switch's set-up."""
    sheet = Sheet(PROBE)
    judge_timer(sheet, agreed, silence)
    assert sheet.verdict is verdict
    assert [figure.value for figure in sheet.figures if figure.n] == ([] if lasts is None else [lasts])
    assert all(f.code == "call.release.undead" and f.layer is Layer.SWITCH for f in sheet.findings)


@pytest.mark.parametrize(
    "trouble", [NotMeasuredError("no control link", ""), LinkError("cut"), RefusedError("Permission denied")]
)
async def test_without_a_control_link_nobody_knows_when_silence_ends_a_call(trouble: Exception) -> None:
    """Nor where the switch's account may not ask: not measured, and no failure of the probe."""

    class Shut:
        async def control(self) -> Any:
            raise trouble

    assert await _silence_seconds(Shut()) is None  # type: ignore[arg-type]
