"""When a shift passes, and when not."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from edge.cli import output
from edge.cli.picture import Picture
from edge.cli.places import Site
from edge.core.model import CallOutcome, Instant
from edge.ledger.store import open_sql_ledger
from edge.views.calls import CallRecord, fold_calls
from edge.views.record import CallbackRecord
from edge.views.shift import summarise
from hwtest.shift import report
from hwtest.shift.run import Result, faults
from tests.views.callbacks import kept
from tests.views.room import busy_shift

NOW = Instant(10**9, 10**15)


def record(number: str, outcome: CallOutcome | None = CallOutcome.ANSWERED) -> CallRecord:
    return CallRecord(
        call_id=f"call-{number}",
        line="101",
        arrived_at=NOW,
        queued_at=NOW,
        adopted=False,
        number_withheld=False,
        caller_number=number,
        caller_name=None,
        outcome=outcome,
    )


def test_a_shift_whose_calls_all_ended_has_no_faults() -> None:
    """In SIP, in the ledger and in the switch."""
    assert faults(["1", "2"], [], [record("1"), record("2", CallOutcome.ABANDONED)], 0) == []


def test_a_call_that_the_ledger_does_not_know_is_a_fault() -> None:
    """A number that called twice must be there twice."""
    assert faults(["1", "1", "2"], [], [record("1"), record("2")], 0) == [
        "1 of 3 calls are not in the ledger"
    ]


def test_a_call_without_an_end_in_the_ledger_is_a_fault() -> None:
    """Whatever SIP says of it."""
    assert faults(["1"], [], [record("1", None)], 0) == ["1 calls have no end in the ledger: call-1"]


def test_a_promise_that_was_not_kept_in_time_is_a_fault_and_is_named() -> None:
    """Beside whoever else has no end."""
    waiting = record("1", None)
    waiting.callback = CallbackRecord(promised_at=NOW, number="+447700900001", keyed=False)
    assert faults(["1", "2"], [], [waiting, record("2", None)], 0) == [
        "1 calls have no end in the ledger: call-2",
        "1 promised call-backs were not kept in time: call-1",
    ]


def test_the_report_tells_of_call_backs_and_tasks() -> None:
    """In words of the command line, and nothing where there were none."""
    records = list(fold_calls(kept().entries).values())
    total = summarise(records, 30.0)
    assert (total.promised, total.kept) == (1, 1)
    made = Result(
        total=total,
        queues={"101": total},
        placed=len(records),
        hung_up_at_the_end=0,
        tasks={"unreached call-back": 1, "abandoned 999": 2},
        kept_at_the_end=1,
        faults=(),
    )
    text = shown(made)
    assert "Call-backs: 1 promised, 1 kept, 0 waiting, 0 could not be reached." in text
    assert "abandoned 999 (2), unreached call-back (1)" in text
    assert "waiting when the shift was over and called before it closed: 1." in text


def test_a_call_whose_end_sip_did_not_see_is_a_fault() -> None:
    """Whatever the ledger says of it."""
    assert faults(["1"], ["1"], [record("1")], 0) == ["SIP did not see the end of 1 calls"]


def test_channels_that_are_left_are_a_fault_and_so_is_a_silent_switch() -> None:
    """Nothing leaks."""
    assert faults([], [], [], 2) == ["2 channels are left in the switch"]
    assert faults([], [], [], None) == ["the switch does not answer"]


def shown(result: Result) -> str:
    text = StringIO()
    Console(file=text, width=120).print(report.render(result))
    return text.getvalue()


def test_the_report_names_every_fault() -> None:
    """And does not say that all is well."""
    empty = summarise([], 30.0)
    text = shown(
        Result(
            total=empty,
            queues={"101": empty},
            placed=1,
            hung_up_at_the_end=0,
            tasks={},
            kept_at_the_end=0,
            faults=("something is wrong",),
        )
    )
    assert ("FAULT: something is wrong" in text, "Every call ended" in text) == (True, False)


def test_a_shift_over_midnight_has_all_its_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its calls are those since it began, though the day is another when it is judged."""
    room, ids = busy_shift()
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    ledger = open_sql_ledger(url)
    ledger.append(room.entries)
    tomorrow = Instant(room.now.monotonic_ns, room.now.utc_us + 24 * 3600 * 10**6)
    monkeypatch.setattr(output, "now", lambda: tomorrow)
    began = room.entries[0].at.utc_us
    by_day = [call.call_id for call in Picture(ledger, Site(url)).today]
    by_shift = [call.call_id for call in Picture(ledger, Site(url), since_utc_us=began).today]
    ledger.close()
    assert (by_day, sorted(by_shift)) == ([], sorted(ids.values()))
