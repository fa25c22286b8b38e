"""Call-backs as Asterisk 22.10.1 told them, on both links, folded into inputs whichever link is quicker.

Recorded: five attempts to ring one person. The 1st: 180 and 486. The 2nd: 183 and 480. The 3rd: 503. The 4th: 180, answered,
into the application, hung up by the person. The 5th, for a line that the switch does not have: answered, into the switch's
own queue, hung up by the person.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.core.inputs import CallerGone, FallbackTook, Input, PersonAnswered, PersonGone, PersonRang
from edge.core.model import Side
from edge.core.promise import AttemptOutcome
from edge.pbx.asterisk.ami import translate as ami
from edge.pbx.asterisk.ami import wire
from edge.pbx.asterisk.ari import translate as ari
from edge.pbx.asterisk.book import Book
from edge.pbx.asterisk.sightings import HangUpAsked, Sighting
from tests.wire.test_transfers import POLICY

HERE = Path(__file__).parent
CALL = "20261126T100000Z-77"


def from_ari() -> Iterator[Sighting]:
    """What the recorded websocket shows."""
    for line in (HERE / "asterisk-22.10.1.callback.ari.jsonl").read_text(encoding="utf-8").splitlines():
        sighting = ari.sighting(json.loads(line))
        if sighting is not None:
            yield sighting


def from_ami() -> Iterator[Sighting]:
    """What the recorded AMI connection shows."""
    for frame in wire.Framer().feed((HERE / "asterisk-22.10.1.callback.ami.txt").read_bytes()):
        message = wire.parse(frame)
        sighting = None if message is None else ami.sighting(message)
        if sighting is not None:
            yield sighting


def fold(sightings: list[Sighting]) -> list[Input]:
    """The inputs that a book makes of them which made the five attempts."""
    book = Book(POLICY)
    assert all(book.attempt_made(CALL, attempt) for attempt in range(1, 6))
    made = [made for sighting in sightings for made in book.see(sighting)]
    assert (book.calls, book.attempts) == ({}, {})
    return made


def in_order() -> list[Sighting]:
    """The two links as they were heard: the answer before whatever the person did on that leg."""
    [answer], seen = list(from_ari()), list(from_ami())
    first = next(i for i, s in enumerate(seen) if isinstance(s, HangUpAsked) and s.leg_id.endswith(".4-leg"))
    return [*seen[:first], answer, *seen[first:]]


def test_the_five_attempts() -> None:
    """Each with what became of it."""
    made = fold(in_order())
    assert [each.attempt for each in made if isinstance(each, PersonRang)] == [1, 2, 4]
    assert [(each.attempt, each.outcome) for each in made if isinstance(each, PersonGone)] == [
        (1, AttemptOutcome.BUSY),
        (2, AttemptOutcome.NO_ANSWER),
        (3, AttemptOutcome.NETWORK),
    ]
    assert [each.attempt for each in made if isinstance(each, PersonAnswered)] == [4, 5]
    assert [each.side for each in made if isinstance(each, CallerGone)] == [Side.CALLER, Side.CALLER]
    [taken] = [each for each in made if isinstance(each, FallbackTook)]
    assert (taken.call_id, taken.caller_number, taken.joined_utc_us) == (
        CALL,
        "01632960555",
        1_800_000_000_000_000,
    )


@pytest.mark.parametrize("ari_first", [True, False])
def test_whichever_link_is_quicker_the_fourth_ends_once(ari_first: bool) -> None:
    """As a caller who left, or as a person who hung up before we saw them."""
    streams = (from_ari(), from_ami()) if ari_first else (from_ami(), from_ari())
    made = fold([sighting for stream in streams for sighting in stream])
    told = [
        type(each) for each in made if isinstance(each, PersonAnswered | PersonGone) and each.attempt == 4
    ]
    assert told == [PersonAnswered if ari_first else PersonGone]
    of_the_fifth = 1
    assert sum(isinstance(each, CallerGone) for each in made) == of_the_fifth + ari_first
