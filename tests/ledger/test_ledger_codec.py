"""Facts to rows and back, state to bytes and back, and what is refused."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from edge.core.facts import DaemonStopped, Fact, TaskOfferEnded, TaskOfferWithdrawn
from edge.core.model import Instant, OfferOutcome, Side, Tier
from edge.ledger.codec import (
    EntryRefusedError,
    Row,
    decode_entry,
    decode_state,
    encode_entry,
    encode_state,
)
from edge.ledger.measure import arrivals
from edge.ports import LedgerError

ENTRY = arrivals(7, 1)[0]


@dataclass(frozen=True)
class Held:
    """A part of a state."""

    since: Instant
    side: Side | None = None


@dataclass
class State:
    """A state with everything that an engine's may hold."""

    calls: dict[str, Held] = field(default_factory=dict)
    tiers: dict[Tier, set[str]] = field(default_factory=dict)
    order: deque[Held] = field(default_factory=deque)
    pairs: dict[tuple[str, int], frozenset[int]] = field(default_factory=dict)
    share: float = float("inf")


STATE = State(
    calls={"b": Held(Instant(1, 2), Side.CALLER), "a": Held(Instant(3, 4))},
    tiers={Tier.EMERGENCY: {"x", "y", "z"}},
    order=deque([Held(Instant(5, 6))]),
    pairs={("p", 1): frozenset({3, 1, 2})},
)


def row(**changes: Any) -> Row:
    return encode_entry(ENTRY)[0]._replace(**changes)


def test_personal_fields_are_not_in_the_body() -> None:
    """The body of a row can be shown to anybody; the personal body holds the rest."""
    encoded, personal = encode_entry(ENTRY)
    assert personal is not None
    assert encoded.body == (
        '{"adopted":false,"assisted":false,"call_id":"call-000000000007","consultation_of":null,"language":"en",'
        '"leg_id":"leg-000000000007","line":"101","number_withheld":false,"test":false}'
    )
    assert personal.body == '{"caller_name":"A Caller","caller_number":"+447700900123"}'


def test_nothing_personal_makes_no_row() -> None:
    """A fact without personal data has no digest, so that it is never taken for an erased one."""
    encoded, personal = encode_entry(replace(ENTRY, fact=DaemonStopped(why="asked")))
    assert (encoded.personal_digest, personal) == (None, None)


@pytest.mark.parametrize(
    "fact",
    [
        TaskOfferWithdrawn(task_id="c1", task_offer_id="task-c1.1", agent="ann", outcome=OfferOutcome.MISSED),
        TaskOfferEnded(
            task_id="c1", task_offer_id="task-c1.1", agent="ann", outcome=OfferOutcome.MISSED, cause="missed"
        ),
    ],
    ids=lambda fact: type(fact).__name__,
)
def test_what_earlier_versions_wrote_is_read(fact: Fact) -> None:
    """Whether a task was declined stood beside the outcome, from which it follows."""
    entry = replace(ENTRY, fact=fact)
    written = encode_entry(entry)[0]
    earlier = written._replace(body=written.body[:-1] + ',"declined":true}')
    assert decode_entry(earlier, None) == entry


def test_equal_personal_data_has_different_digests() -> None:
    """The salt is new each time: digests neither link two calls nor can be tried out from a list of numbers."""
    assert encode_entry(ENTRY)[0].personal_digest != encode_entry(ENTRY)[0].personal_digest


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            row(kind="CallTeleported"),
            r"entry 7 \(CallTeleported\) cannot be read: this version knows no such kind",
        ),
        (row(body=row().body[:-1] + ',"colour":"red"}'), r"entry 7 \(CallArrived\).* knows no field colour"),
        (row(body='{"call_id":"c"}'), r"entry 7 \(CallArrived\) cannot be read: .*missing required field"),
        (row(body="{"), r"entry 7 \(CallArrived\) cannot be read"),
        (row(body="[1]"), r"entry 7 \(CallArrived\) cannot be read"),
        (row(clock="stopped"), r"entry 7 \(CallArrived\) cannot be read: 'stopped'"),
    ],
    ids=["kind", "field", "missing", "broken", "list", "clock"],
)
def test_rows_of_another_version_are_named(changed: Row, said: str) -> None:
    """What this version cannot read is refused with sequence and kind, never guessed."""
    with pytest.raises(LedgerError, match=said):
        decode_entry(changed, None)


@pytest.mark.parametrize(
    "entry",
    [
        replace(ENTRY, reason="\ud800"),
        replace(ENTRY, fact=DaemonStopped(why="\udcff")),
        replace(ENTRY, at=Instant(2**63, 0)),
        replace(ENTRY, switch_utc_us=-(2**64)),
        replace(ENTRY, fact=DaemonStopped(why=3)),  # type: ignore[arg-type]
        replace(ENTRY, fact="no fact"),  # type: ignore[arg-type]
    ],
    ids=["reason", "text", "monotonic", "switch", "type", "kind"],
)
def test_what_would_not_read_back_is_refused_for_good(entry: object) -> None:
    """An entry that no row can hold is refused as such, so that the runtime does not try it for ever."""
    with pytest.raises(EntryRefusedError, match=r"entry 7 .* cannot be stored"):
        encode_entry(entry)  # type: ignore[arg-type]


def test_state_reads_back_equal() -> None:
    """Dataclasses, dictionaries by text, number and tuple, sets, deques, enumerations, infinity."""
    assert decode_state(encode_state(STATE), State) == STATE


def test_state_keeps_the_order_of_its_dictionaries() -> None:
    """The engine goes through its dictionaries in order of insertion, before a restart as after it."""
    assert list(decode_state(encode_state(STATE), State).calls) == ["b", "a"]


def test_a_state_of_another_shape_is_refused() -> None:
    """A checkpoint of another version is a clear error: the facts are there to be replayed."""
    with pytest.raises(LedgerError, match=r"does not hold a State of this version: .*; replay all facts"):
        decode_state(encode_state({"calls": 3}), State)
    with pytest.raises(LedgerError, match="cannot be written as a checkpoint"):
        encode_state(object())
