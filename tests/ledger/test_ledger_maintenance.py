"""Erasing, legal holds and their audit, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.core.facts import CallAnswered, CallArrived, CallPassedOn
from edge.core.model import Instant, Side, TransferKind
from edge.ledger.maintenance import HeldError, Hold, Maintenance, Warrant, numbers_in
from edge.ledger.measure import arrivals
from edge.ledger.store import SqlLedger, open_sql_ledger, verify
from edge.ports import LedgerError
from hwtest.lab.postgres import Server

ANN = Warrant("ann", "request 12/2026")
NUMBER = "+447700900123"
"""That of every caller of `arrivals`."""


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlLedger]:
    """Five calls."""
    server: Callable[[], Server] = lambda: request.getfixturevalue("postgres")  # noqa: E731 - only one of them needs it
    url = f"sqlite:///{tmp_path}/ledger.db" if request.param == "sqlite" else server().database()
    with closing(open_sql_ledger(url)) as made:
        made.append(arrivals(1, 5))
        yield made


def kept(ledger: SqlLedger) -> list[int]:
    """Sequences whose caller's number is kept."""
    return [e.sequence for e in ledger.read() if isinstance(e.fact, CallArrived) and e.fact.caller_number]


def test_an_erasure_is_audited(ledger: SqlLedger) -> None:
    """Who, when, what and why stand in the audit, in the order in which it was done, and copies can follow what went."""
    ledger.erase(sequences=[4, 2], warrant=ANN)
    with ledger.maintenance() as maintenance:
        maintenance.erase(ANN._replace(who="bob"), "retain", call_ids=["call-000000000001"])
    first, second = ledger.audit()
    assert (first.number, first.who, first.what, first.why) == (1, "ann", "erase", "request 12/2026")
    assert (second.who, second.what) == ("bob", "retain")
    assert json.loads(second.detail) == {"calls": ["call-000000000001"], "facts": 1, "checkpoints": 0}
    shipment = ledger.shipment(0, 10, 0, 0)
    assert [(e.position, e.sequence, e.audit) for e in shipment.erased] == [(1, 2, 1), (2, 4, 1), (3, 1, 2)]
    assert [e.position for e in ledger.shipment(0, 2, 1, 0).erased] == [2, 3]
    assert (kept(ledger), verify(ledger).sound, ledger.verify_audit()) == ([3, 5], True, None)


@pytest.mark.parametrize(
    ("hold", "held"),
    [
        (Hold(hold=0, since_utc_us=0, by="", why="", call_id="call-000000000003"), [3]),
        (Hold(hold=0, since_utc_us=0, by="", why="", number=NUMBER), [1, 2, 3, 4, 5]),
        (Hold(hold=0, since_utc_us=0, by="", why="", number="+447700900124"), []),
        (Hold(hold=0, since_utc_us=0, by="", why="", from_utc_us=4), [4, 5]),
        (Hold(hold=0, since_utc_us=0, by="", why="", from_utc_us=2, until_utc_us=3), [2, 3]),
        (Hold(hold=0, since_utc_us=0, by="", why="", until_utc_us=1), [1]),
    ],
    ids=["call", "number", "another number", "since", "period", "until"],
)
def test_what_is_held_is_not_erased(ledger: SqlLedger, hold: Hold, held: list[int]) -> None:
    """Each kind of hold holds exactly what it names, until it is released; a refused erasure erases nothing at all."""
    with ledger.maintenance() as maintenance:
        number = maintenance.hold(Warrant("ann", "court 7"), hold)
    for sequence in held:
        with pytest.raises(LedgerError, match=r"is under legal hold 1 \(court 7\); release it first"):
            ledger.erase(sequences=[*{1, 2, 3, 4, 5} - set(held), sequence], warrant=ANN)
    assert kept(ledger) == [1, 2, 3, 4, 5]
    ledger.erase(sequences=[*{1, 2, 3, 4, 5} - set(held)], warrant=ANN)
    assert kept(ledger) == held
    with ledger.maintenance() as maintenance:
        maintenance.release(Warrant("ann", "closed"), number)
    ledger.erase(sequences=[1, 2, 3, 4, 5], warrant=ANN)
    (released,) = ledger.holds(released=True)
    assert (kept(ledger), ledger.holds(), released.number) == ([], [], None)
    assert NUMBER[1:] not in "".join(f"{entry.why}{entry.detail}" for entry in ledger.audit())


@pytest.mark.parametrize(("from_utc_us", "held"), [(60, True), (61, False)], ids=["its day", "the day after"])
def test_a_period_holds_a_call_that_goes_on_into_it(ledger: SqlLedger, from_utc_us: int, held: bool) -> None:
    """The call over midnight: its number came the day before, and it ended on the day that is held."""
    (arrived,) = arrivals(6, 1)
    spoken = replace(
        arrivals(7, 1)[0], at=Instant(60, 60), fact=CallAnswered(call_id="call-000000000006", by=Side.AGENT)
    )
    ledger.append([arrived, spoken])
    with ledger.maintenance() as maintenance:
        maintenance.hold(ANN, Hold(hold=0, since_utc_us=0, by="", why="", from_utc_us=from_utc_us))
    if held:
        with pytest.raises(HeldError, match="call-000000000006 is under legal hold 1"):
            ledger.erase(sequences=[6], warrant=ANN)
    else:
        assert ledger.erase(sequences=[6], warrant=ANN).facts == 1


def test_numbers_are_read_before_the_transaction_and_only_for_a_hold_on_one(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon's commits wait for its end: however many holds there are, each fact is read once, or not at all."""
    read_before: list[int] = []
    erase = Maintenance.erase

    def counted(maintenance: Maintenance, *given: Any) -> tuple[int, int]:
        read_before.append(numbers_in.cache_info().misses)
        return erase(maintenance, *given)

    numbers_in.cache_clear()
    with ledger.maintenance() as maintenance:
        maintenance.hold(ANN, Hold(hold=0, since_utc_us=0, by="", why="", from_utc_us=1000))
    ledger.erase(sequences=[1], warrant=ANN)
    assert numbers_in.cache_info().misses == 0
    with ledger.maintenance() as maintenance:
        for last in range(5):
            number = f"+44770090020{last}"
            maintenance.hold(ANN, Hold(hold=0, since_utc_us=0, by="", why="", number=number))
    different = len({data.body for data in ledger.personal_data(1, 2)})
    monkeypatch.setattr(Maintenance, "erase", counted)
    ledger.erase(sequences=[2, 3], warrant=ANN)
    assert (read_before, numbers_in.cache_info().misses) == ([different], different)


def test_a_checkpoint_that_holds_nothing_of_it_stays(ledger: SqlLedger) -> None:
    """Its call and its data tell; an agent's extension, to which it was passed on, stands in every state and tells nothing."""
    passed_on = replace(
        arrivals(6, 1)[0],
        fact=CallPassedOn(
            call_id="call-000000000006", agent="4001", kind=TransferKind.BLIND, to_agent=None, target="4002"
        ),
    )
    ledger.append([passed_on])
    ledger.save_checkpoint(5, b"4002 call-000000000003")
    ledger.save_checkpoint(6, b"4002 +447700900124")
    assert ledger.erase(sequences=[6, 1], warrant=ANN).checkpoints == 0
    assert ledger.erase(sequences=[3], warrant=ANN).checkpoints == 1
    assert ledger.load_checkpoint() == (6, b"4002 +447700900124")


def test_only_a_hold_that_holds_can_be_released(ledger: SqlLedger) -> None:
    """The refusal leaves no trace in the audit."""
    with pytest.raises(LedgerError, match="no hold 3 that could be released"), ledger.maintenance() as work:
        work.release(ANN, 3)
    assert list(ledger.audit()) == []


def test_a_changed_audit_is_found(tmp_path: Path) -> None:
    """Whoever changes or removes an entry by hand is found out."""
    path = tmp_path / "ledger.db"
    with closing(open_sql_ledger(f"sqlite:///{path}")) as ledger:
        ledger.append(arrivals(1, 3))
        for sequence in (1, 2, 3):
            ledger.erase(sequences=[sequence], warrant=ANN)
        for change, said in (
            (
                "UPDATE audit SET who = 'eve' WHERE number = 2",
                "entry 2 of the audit is not what was recorded",
            ),
            ("DELETE FROM audit WHERE number = 2", "entry 2 of the audit is missing"),
        ):
            with closing(sqlite3.connect(path)) as other, other:
                other.execute(change)
            assert ledger.verify_audit() == said


def test_numbers_are_found_however_they_are_written() -> None:
    """All ways of writing one number are one; extensions stand for themselves, names are no numbers."""
    assert numbers_in('{"caller_number": "07700 900123", "caller_name": "Ann 2"}') == {NUMBER}
    assert numbers_in('{"target": "4001", "knowledge": {"calls_in_day": 3}}') == {"4001"}
    assert numbers_in('{"number": null}') == set()
