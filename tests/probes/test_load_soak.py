"""load.soak: before and after in, verdict and blame out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwtest.probes.contract import Layer, NotMeasuredError, Verdict
from hwtest.probes.load_soak import PROBE, Soak, judge, refuse_what_cannot_be
from hwtest.probes.sheet import Sheet
from hwtest.sipp.counters import GAVE_UP
from tests.probes.test_load_burst import WELL
from tests.probes.test_load_hold import use


def soak(**changed: object) -> Soak:
    """A minute without a fault, but for what is changed."""
    given: dict[str, object] = {
        "seconds": 60.0,
        "options": [1.0] * 60,
        "before": {"switch": use(0), "daemon": use(0)},
        "after": {"switch": use(9), "daemon": use(2)},
        "outcome": WELL,
        **changed,
    }
    return Soak(**given)  # type: ignore[arg-type]


def blamed(given: Soak) -> list[tuple[str, Verdict, Layer]]:
    """What is found."""
    sheet = Sheet(PROBE)
    judge(sheet, given)
    return [(one.code.rpartition(".")[2], one.verdict, one.layer) for one in sheet.findings]


def test_a_good_minute() -> None:
    """Pass, and it says that a minute is short."""
    sheet = Sheet(PROBE)
    judge(sheet, soak())
    assert (sheet.verdict, sheet.findings) == (Verdict.PASS, [])
    assert "soaks for a day" in sheet.notes[0]


FAILED = replace(
    WELL, counters=replace(WELL.counters, successful=99, failed=1, failures={"TimeoutOnRecv": 1})
)
UNFINISHED = replace(WELL, counters=replace(WELL.counters, successful=98))


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"options": [1.0] * 59 + [None]}, [("dead", Verdict.FAIL, Layer.SWITCH)]),
        ({"channels_left": 1}, [("channels", Verdict.FAIL, Layer.SWITCH)]),
        ({"outcome": FAILED}, [("lost", Verdict.FAIL, Layer.DAEMON)]),
        ({"outcome": UNFINISHED}, [("lost", Verdict.FAIL, Layer.DAEMON)]),
        (
            {"after": {"switch": use(1, descriptors=50), "daemon": use(1)}},
            [("switch-leak", Verdict.WARN, Layer.SWITCH)],
        ),
        (
            {"after": {"switch": use(1), "daemon": use(1, threads=60)}},
            [("daemon-leak", Verdict.FAIL, Layer.DAEMON)],
        ),
        ({"seconds": 40.0}, [("short", Verdict.WARN, Layer.METER)]),
    ],
)
def test_who_is_blamed(changed: dict[str, object], found: list[tuple[str, Verdict, Layer]]) -> None:
    """One thing at a time."""
    assert blamed(soak(**changed)) == found


def test_a_pool_that_moves() -> None:
    """By ten is no leak, and fewer are none at all."""
    assert (
        blamed(soak(after={"switch": use(1, descriptors=30, threads=14), "daemon": use(1, threads=1)})) == []
    )


def test_callers_whom_nobody_served() -> None:
    """Are told as that, and not in SIPp's words."""
    sheet = Sheet(PROBE)
    failed = replace(WELL.counters, successful=90, failed=10, failures={GAVE_UP: 10})
    judge(sheet, soak(outcome=replace(WELL, counters=failed)))
    assert next(figure.note for figure in sheet.figures if figure.name == "lost") == "10 waited in vain"


@pytest.mark.parametrize(("agents", "wrap_up"), [(4, 5.0), (1, 0.0), (0, 0.0)])
def test_what_so_few_agents_cannot_serve(agents: int, wrap_up: float) -> None:
    """Is not measured, with the lab that could; what can be done is."""
    with pytest.raises(NotMeasuredError, match=f"{agents} agents") as refused:
        refuse_what_cannot_be(agents, wrap_up)
    assert "--wrap-up 0" in (refused.value.mend or "")
    refuse_what_cannot_be(4, 0.0)
