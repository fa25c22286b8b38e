"""What every ledger must do, in memory, on SQLite and on a real PostgreSQL server alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from threading import Thread
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.core.facts import (
    KINDS,
    AgentBecameNotReady,
    CallArrived,
    CallEnded,
    CallQueued,
    Entry,
    Fact,
    FactsLost,
    OfferMade,
)
from edge.core.model import CallOutcome, ClockState, Instant, Side, Stage
from edge.ledger.maintenance import Warrant
from edge.ledger.measure import arrivals
from edge.ledger.memory import MemoryLedger
from edge.ledger.store import SqlLedger, open_ledger, open_sql_ledger, verify
from edge.mi.projection import Projection
from edge.mi.stream import Selection, Start, Stored, read_page
from edge.ports import LedgerError, read_all
from hwtest.lab.postgres import Server

AnyLedger = MemoryLedger | SqlLedger

numbers = st.integers(-(2**63) + 1, 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
instants = st.builds(Instant, numbers, numbers)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    int: numbers,
    str: texts,
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    Instant: instants,
    NoneType: st.none(),
}


BACKENDS = ["memory", "sqlite", "postgresql"]
APPENDED = {name: kind for name, kind in KINDS.items() if kind is not FactsLost}
"""Nobody appends the other one: it stands for facts that a damaged file lost, and has its own tests (`test_ledger_mending`)."""


@pytest.fixture(scope="module")
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[AnyLedger]]:
    """One ledger of each kind, that many examples are appended to, one after the other."""
    made = [opened(request, backend, tmp_path_factory.mktemp("ledger")) for backend in BACKENDS]
    yield made
    for each in made:
        each.close()


@pytest.fixture(params=BACKENDS)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyLedger]:
    """An empty ledger."""
    made = opened(request, request.param, tmp_path)
    yield made
    made.close()


def opened(request: pytest.FixtureRequest, backend: str, place: Path) -> AnyLedger:
    if backend == "memory":
        return MemoryLedger()
    if backend == "sqlite":
        return open_sql_ledger(f"sqlite:///{place}/ledger.db")
    server: Server = request.getfixturevalue("postgres")
    return open_sql_ledger(server.database())


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of an annotation: plain types, enumerations, unions of them, and tuples of any length."""
    if get_origin(hint) is tuple:
        return st.lists(values(get_args(hint)[0]), max_size=5).map(tuple)
    if parts := get_args(hint):
        return st.one_of(*(values(part) for part in parts))
    if isinstance(hint, type) and is_dataclass(hint) and hint not in PLAIN:
        return st.builds(hint, **{part: values(kind) for part, kind in get_type_hints(hint).items()})
    return PLAIN[hint] if hint in PLAIN else st.sampled_from(hint)


def facts_of(kind: type[Fact]) -> st.SearchStrategy[Fact]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{part.name: values(hints[part.name]) for part in fields(kind)})


def entries_of(kind: type[Fact]) -> st.SearchStrategy[Entry]:
    return st.builds(
        Entry,
        sequence=st.just(0),
        at=instants,
        fact=facts_of(kind),
        reason=texts,
        clock=st.sampled_from(ClockState),
        switch_utc_us=st.none() | numbers,
    )


def numbered(entries: list[Entry], after: int) -> list[Entry]:
    return [replace(entry, sequence=after + place) for place, entry in enumerate(entries, 1)]


@pytest.mark.parametrize("kind", APPENDED.values(), ids=APPENDED)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_kind_of_fact_reads_back_equal(
    shared: list[AnyLedger], kind: type[Fact], data: st.DataObject
) -> None:
    """Whatever a fact of this kind holds, it is read back as it was appended."""
    last = shared[0].last_sequence()
    entries = numbered(data.draw(st.lists(entries_of(kind), min_size=1, max_size=3)), last)
    for each in shared:
        each.append(entries)
        assert list(each.read(last)) == entries


def test_chain_holds_over_every_kind_of_fact(shared: list[AnyLedger]) -> None:
    """After all the examples above the chain is whole."""
    assert {verify(each).explanation for each in shared} == {"the chain holds"}


def test_an_empty_ledger_is_at_zero(ledger: AnyLedger) -> None:
    """Nothing was appended: last sequence 0, nothing to read, no checkpoint, a sound chain."""
    state = (ledger.last_sequence(), list(ledger.read()), ledger.load_checkpoint(), verify(ledger).count)
    assert state == (0, [], None, 0)


def test_entries_are_read_in_order_and_in_pages(ledger: AnyLedger) -> None:
    """A reader pages by sequence and gets every entry once, in order."""
    ledger.append(arrivals(1, 7))
    ledger.append(arrivals(8, 3))
    assert [entry.sequence for entry in ledger.read(4, 3)] == [5, 6, 7]
    assert list(read_all(ledger, 2, page=3)) == arrivals(3, 8)
    assert list(ledger.read(10)) == []
    assert ledger.last_sequence() == 10


def test_appending_nothing_is_nothing(ledger: AnyLedger) -> None:
    """An empty batch is allowed and changes nothing."""
    ledger.append([])
    assert ledger.last_sequence() == 0


@pytest.mark.parametrize(
    "batch",
    [arrivals(5, 1), arrivals(3, 1), arrivals(0, 1), arrivals(4, 2) + arrivals(7, 1), arrivals(4, 1) * 2],
    ids=["gap", "repeat", "past", "gap inside", "repeat inside"],
)
def test_sequences_that_do_not_follow_are_refused(ledger: AnyLedger, batch: list[Entry]) -> None:
    """A batch with a gap or a repeat is refused as a whole, by name, and the right one is taken afterwards."""
    ledger.append(arrivals(1, 3))
    with pytest.raises(LedgerError, match=r"does not follow entry \d+: nothing was appended"):
        ledger.append(batch)
    assert ledger.last_sequence() == 3
    ledger.append(arrivals(4, 2))
    assert list(ledger.read()) == arrivals(1, 5)


def test_a_batch_with_one_unstorable_entry_is_refused_whole(ledger: AnyLedger) -> None:
    """Not a number is no JSON: the entry is named, nothing of its batch stays."""
    offer = OfferMade(
        offer_id="o", call_id="c", agent="a", phone="p", ring_seconds=float("nan"), waited_seconds=1.0
    )
    bad = replace(arrivals(2, 1)[0], fact=offer)
    with pytest.raises(LedgerError, match=r"entry 2 \(OfferMade\) cannot be stored"):
        ledger.append([*arrivals(1, 1), bad])
    assert ledger.last_sequence() == 0
    ledger.append(arrivals(1, 2))
    assert list(ledger.read()) == arrivals(1, 2)


def test_the_newest_checkpoint_is_kept(ledger: AnyLedger) -> None:
    """Checkpoints replace each other, also at the same sequence."""
    ledger.append(arrivals(1, 9))
    for sequence, state in ((2, b"a"), (5, b"b"), (9, b"c"), (9, b"\x00d")):
        ledger.save_checkpoint(sequence, state)
    assert ledger.load_checkpoint() == (9, b"\x00d")


def test_a_checkpoint_of_what_is_not_committed_is_refused(ledger: AnyLedger) -> None:
    """State built on facts that are not on disk may not be trusted after a restart."""
    ledger.append(arrivals(1, 2))
    with pytest.raises(LedgerError, match="no checkpoint at entry 3: the last entry is 2"):
        ledger.save_checkpoint(3, b"")
    assert ledger.load_checkpoint() is None


def test_a_call_is_read_by_its_id(ledger: AnyLedger) -> None:
    """All entries about one call, in order, and none about another."""
    ended = CallEnded(
        call_id="call-000000000002",
        outcome=CallOutcome.ABANDONED,
        stage=Stage.QUEUE,
        side=Side.CALLER,
        cause="16",
        waited_seconds=10.0,
        talked_seconds=0.0,
        agent=None,
        unseen_since=Instant(1, 2),
    )
    end = replace(arrivals(4, 1)[0], fact=ended)
    ledger.append([*arrivals(1, 3), end])
    assert list(ledger.read_call("call-000000000002")) == [*arrivals(2, 1), end]


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ufdd0", "plain"])
def test_a_page_and_a_projection_have_texts_as_they_were_written(ledger: AnyLedger, text: str) -> None:
    """Whatever the database keeps in the place of a NUL: both read past SQLAlchemy's own types."""
    call_id = f"call-{text}"
    arrived = CallArrived(call_id=call_id, leg_id="1", line="main", number_withheld=True, adopted=False)
    queued = CallQueued(
        call_id=call_id, queue="general", priority_class="", tier=1, queued_at=arrivals(1, 1)[0].at
    )
    away = AgentBecameNotReady(agent=f"4001{text}", reason="meal")
    told: list[Fact] = [arrived, queued, away]
    entries = [
        replace(entry, fact=fact, reason=text) for entry, fact in zip(arrivals(1, 3), told, strict=True)
    ]
    ledger.append(entries)
    projection = Projection(ledger, None)
    projection.catch_up()
    assert [(each.call_id, each.record.queue) for each in projection.changes(-1, 9)] == [(call_id, "general")]
    projection.close()
    if isinstance(ledger, SqlLedger):
        for selection, count in ((Selection(), 3), (Selection(queues=("general",)), 1)):
            found = [Stored(*row) for row in read_page(ledger, selection, Start(), 9).facts]
            texts = [(row.call_id, row.agent, row.reason) for row in found]
            whole = [(call_id, None, text), (call_id, None, text), (None, f"4001{text}", text)]
            assert texts == (whole if count == 3 else whole[1:2])


def test_personal_data_is_erasable(ledger: AnyLedger) -> None:
    """Erasing takes caller number and name and the checkpoints that hold them; all else stays, the chain holds and counts it."""
    ledger.append(arrivals(1, 4))
    ledger.save_checkpoint(4, b"+447700900123")
    head = ledger.head()
    calls = ["call-000000000003", "unknown"]
    if isinstance(ledger, MemoryLedger):
        ledger.erase(sequences=[1], call_ids=calls)
    else:
        ledger.erase(sequences=[1], call_ids=calls, warrant=Warrant("ann", "test"))
    found = [fact.caller_number for entry in ledger.read() if isinstance(fact := entry.fact, CallArrived)]
    assert found == [None, "+447700900123", None, "+447700900123"]
    assert ledger.load_checkpoint() is None
    verification = verify(ledger, known_head=head)
    assert (verification.sound, verification.count, verification.erased) == (True, 4, 2)
    ledger.append(arrivals(5, 1))
    assert verify(ledger).sound


def test_progress_of_verification_is_told(ledger: AnyLedger) -> None:
    """Progress counts up to the whole."""
    seen: list[tuple[int, int]] = []
    ledger.append(arrivals(1, 1500))
    verify(ledger, lambda done, total: seen.append((done, total)))
    assert seen == [(1000, 1500), (1500, 1500)]


def test_reading_while_writing(ledger: AnyLedger) -> None:
    """A reader in another thread sees a growing prefix, never half a batch."""
    writer = Thread(target=lambda: [ledger.append(arrivals(first, 3)) for first in range(1, 301, 3)])
    writer.start()
    seen: list[Entry] = []
    while len(seen) < 300:
        seen += ledger.read(len(seen))
        assert len(seen) % 3 == 0
    writer.join()
    assert seen == arrivals(1, 300)


def test_memory_is_opened_by_url() -> None:
    """`memory:` is a ledger too."""
    assert isinstance(open_ledger("memory:"), MemoryLedger)
