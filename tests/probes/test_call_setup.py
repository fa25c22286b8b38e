"""call.setup: fifty calls in, verdict and blame out."""

from __future__ import annotations

import pytest

from hwtest.probes.call_setup import PROBE, judge
from hwtest.probes.contract import Layer, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.sipp.sessions import sessions
from tests.sipp.made import CALLER, call, record


def judged(*failed: str | None, good: int = 50, ringing_ms: float = 5) -> Sheet:
    """The sheet of so many good calls and these."""
    sheet, records = Sheet(PROBE), []
    for place, status in enumerate(["200"] * good + list(failed)):
        records += call(f"{place}", status, 1000 * place, ringing_ms=ringing_ms, final_ms=ringing_ms + 10)
    judge(sheet, sessions(records, {CALLER}))
    return sheet


def blamed(sheet: Sheet) -> list[tuple[str, Verdict, Layer]]:
    """What was found."""
    return [(one.code.rpartition(".")[2], one.verdict, one.layer) for one in sheet.findings]


def test_fifty_good_calls() -> None:
    """Pass, without a finding."""
    sheet = judged()
    assert (sheet.verdict, sheet.findings) == (Verdict.PASS, [])


@pytest.mark.parametrize(
    ("status", "word", "layer"),
    [
        ("404", "refused", Layer.DIALPLAN),
        ("403", "refused", Layer.DIALPLAN),
        ("486", "phone", Layer.PHONE),
        ("503", "ineffective", Layer.SWITCH),
        ("488", "audio", Layer.SWITCH),
        (None, "ineffective", Layer.SWITCH),
    ],
)
def test_who_is_blamed(status: str | None, word: str, layer: Layer) -> None:
    """One of fifty is a warning, five are a failure; only that layer is named."""
    assert blamed(judged(status, good=49)) == [(word, Verdict.WARN, layer)]
    assert blamed(judged(*[status] * 5, good=45)) == [(word, Verdict.FAIL, layer)]


def test_slow() -> None:
    """Two seconds are a warning, seven a failure."""
    assert blamed(judged(ringing_ms=2000)) == [("slow", Verdict.WARN, Layer.SWITCH)]
    assert blamed(judged(ringing_ms=7000)) == [("slow", Verdict.FAIL, Layer.SWITCH)]


def test_failures_are_not_pooled() -> None:
    """The delay of calls that failed stands in a figure of its own, and moves the other by nothing."""
    sheet = judged("404", good=49)
    figures = {figure.name: figure for figure in sheet.figures}
    assert (figures["session_request_delay"].n, figures["session_request_delay_failed"].n) == (49, 1)


def test_nothing_was_answered() -> None:
    """A delay of nothing is no pass."""
    assert judged(*[None] * 3, good=0).verdict is Verdict.FAIL


def test_sent_again() -> None:
    """Is a warning about the network."""
    sheet = Sheet(PROBE)
    judge(sheet, sessions([record("a", "INVITE", -500), *call("a", "200")], {CALLER}))
    assert blamed(sheet) == [("repeated", Verdict.WARN, Layer.NETWORK)]
