"""SIPp's counters: read by name from the last line, and believed only where SIPp itself was well."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from hwtest.sipp.counters import Counters, CountersError, read
from hwtest.sipp.traffic import Outcome

NAMES = (
    *("StartTime", "CurrentTime", "TargetRate", "TotalCallCreated", "CurrentCall"),
    *("SuccessfulCall(P)", "SuccessfulCall(C)", "FailedCall(P)", "FailedCall(C)"),
    *("FailedMaxUDPRetrans(C)", "FailedUnexpectedMessage(C)", "FailedTimeoutOnRecv(C)"),
    *("OutOfCallMsgs(C)", "DeadCallMsgs(C)", "Retransmissions(C)", "FatalErrors(C)", "WatchdogMajor(C)"),
)


def line(values: Mapping[str, int]) -> str:
    """One line of the file; SIPp ends each by a semicolon."""
    return ";".join(str(values.get(name, 0)) for name in NAMES) + ";"


def statistics(**values: int) -> str:
    """A file whose last line has these values, with an earlier line that has others."""
    named = {name: values[key] for name in NAMES if (key := name.partition("(C)")[0]) in values}
    return "\n".join((";".join(NAMES) + ";", line({"TotalCallCreated": 1}), line(named))) + "\n"


def outcome(text: str, exit_status: int | None = 0, asked: int | None = None) -> Outcome:
    """What a run with this file came to."""
    return Outcome(counters=read(text), exit_status=exit_status, timed_out=exit_status == 97, asked=asked)


def test_the_last_line_counts() -> None:
    """And only reasons that happened are named."""
    counted = read(
        statistics(
            TotalCallCreated=50,
            SuccessfulCall=47,
            FailedCall=3,
            FailedUnexpectedMessage=2,
            FailedTimeoutOnRecv=1,
        )
    )
    assert counted == Counters(
        created=50,
        successful=47,
        failed=3,
        in_progress=0,
        retransmissions=0,
        stray=0,
        watchdog=0,
        fatal_errors=0,
        failures={"UnexpectedMessage": 2, "TimeoutOnRecv": 1},
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "before it began"),
        (";".join(NAMES) + "\n", "before it began"),
        (";".join(NAMES) + "\n2026;2026;10.0;5", "by force"),
        ("StartTime;Other;\n1;2;\n", "another version"),
    ],
)
def test_a_file_that_tells_nothing(text: str, words: str) -> None:
    """Is never taken for zero failures."""
    with pytest.raises(CountersError, match=words):
        read(text)


def test_an_exit_status_of_zero_proves_nothing() -> None:
    """Calls that neither succeeded nor failed are counted as what they are, whatever SIPp says at its end (#509)."""
    ended = outcome(statistics(TotalCallCreated=7, SuccessfulCall=5, CurrentCall=2), 0, asked=10)
    assert (ended.trouble, ended.unfinished) == (None, 5)


def test_a_failed_call_is_no_trouble_of_sipp() -> None:
    """It is what was to be measured."""
    ended = outcome(statistics(TotalCallCreated=10, SuccessfulCall=9, FailedCall=1), 1, asked=10)
    assert (ended.trouble, ended.unfinished) == (None, 0)


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (statistics(), -11, "SIPp itself failed"),
        (statistics(), 254, "SIPp itself failed"),
        (statistics(), None, "SIPp itself failed"),
        (statistics(FatalErrors=1), 1, "fatal errors"),
        (statistics(WatchdogMajor=2), 0, "too busy to offer the load"),
    ],
)
def test_when_sipp_itself_is_not_well(text: str, status: int | None, words: str) -> None:
    """Its counters say nothing of the target."""
    assert words in (outcome(text, status).trouble or "")
