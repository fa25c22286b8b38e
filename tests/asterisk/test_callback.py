"""The book of call-backs: a person's leg until they answer, a caller's from then on; and numbers that callers key."""

from dataclasses import replace

import pytest

from edge.core.inputs import (
    CallerGone,
    FallbackTook,
    Input,
    KeyPressed,
    NumberKeyed,
    PairJoined,
    PersonAnswered,
    PersonGone,
    PersonRang,
    PhoneAnswered,
    SeenAttempt,
    Standing,
)
from edge.core.model import Side
from edge.core.promise import AttemptOutcome
from edge.pbx.asterisk import identity
from edge.pbx.asterisk.book import Book, CallerLeg, PersonLeg, Place, Snapshot
from edge.pbx.asterisk.keying import FIRST_KEY_SECONDS, NEXT_KEY_SECONDS
from edge.pbx.asterisk.sightings import (
    Bridged,
    Caller,
    CallerEntered,
    FallbackEntered,
    HangUpAsked,
    KeyHeard,
    LegAnswered,
    LegEnded,
    PersonRinging,
    PlaybackEnded,
    Sighting,
    TimePassed,
)
from tests.asterisk.site import POLICY

CALL, OFFER = "c-1", "c-1.1"
LEG, OFFER_LEG = identity.leg_of_attempt(CALL, 1), identity.leg_of_offer(OFFER)
REACHED = CallerEntered(
    call_id=CALL,
    leg_id=LEG,
    line="routine",
    caller=Caller(number="01632960555"),
    returned=False,
    joined_utc_us=1,
    switch_utc_us=2,
    attempt=1,
)
RINGING = PersonRinging(leg_id=LEG, switch_utc_us=1)
FALLBACK = FallbackEntered(
    call_id=CALL,
    leg_id=LEG,
    line="routine",
    why="entry",
    caller=Caller(number="01632960555"),
    joined_utc_us=1,
    switch_utc_us=2,
)


def ended(leg_id: str = LEG, cause: int = 16, *, answered: bool = False) -> LegEnded:
    """A leg ends."""
    return LegEnded(leg_id=leg_id, cause=cause, status=0, words="words", switch_utc_us=3, answered=answered)


@pytest.fixture
def book() -> Book:
    """A book with one person who is being rung, and the agent's leg that waits for them."""
    made = Book(POLICY)
    made.offer_made(OFFER)
    made.see(LegAnswered(offer_id=OFFER, switch_utc_us=None))
    assert made.attempt_made(CALL, 1)
    return made


def see(book: Book, *sightings: Sighting) -> list[Input]:
    """What these make."""
    return [made for sighting in sightings for made in book.see(sighting)]


def test_ringing_is_told_once(book: Book) -> None:
    """180 comes again and again, and 183 after it."""
    assert see(book, RINGING, RINGING) == [PersonRang(call_id=CALL, attempt=1, switch_utc_us=1)]


def test_an_answer_makes_a_caller(book: Book) -> None:
    """Whose leg is known as any caller's; it is no answer of an agent, and comes once."""
    assert see(book, REACHED, REACHED, RINGING) == [
        PersonAnswered(call_id=CALL, attempt=1, leg_id=LEG, switch_utc_us=2)
    ]
    assert (book.calls[CALL].place, book.calls[CALL].leg_id) == (Place.HELD, LEG)
    assert book.attempts == {}
    assert list(book.offers) == [OFFER]


def test_pair_is_joined_and_ends_as_any(book: Book) -> None:
    """The person hangs up."""
    see(book, REACHED)
    assert book.hand_over(CALL, OFFER) is not None
    joined = see(
        book,
        *(Bridged(leg_id=leg, bridge_id="b", switch_utc_us=None) for leg in (LEG, OFFER_LEG)),
    )
    assert [type(made) for made in joined] == [PairJoined]
    [gone] = see(book, HangUpAsked(leg_id=LEG), ended())
    assert isinstance(gone, CallerGone)
    assert (gone.call_id, gone.side) == (CALL, Side.CALLER)


def test_call_whose_caller_hung_up_is_opened_again() -> None:
    """The promise was given on another leg of the same call, which has ended; so may be another attempt's."""
    book = Book(POLICY)
    first = replace(REACHED, leg_id="1.1", attempt=None)
    see(book, first, ended("1.1"))
    assert see(book, first) == []
    for attempt in (1, 2):
        leg_id = identity.leg_of_attempt(CALL, attempt)
        assert book.attempt_made(CALL, attempt)
        told = see(book, replace(REACHED, leg_id=leg_id, attempt=attempt), ended(leg_id))
        assert [type(made) for made in told] == [PersonAnswered, CallerGone]


def test_an_attempt_is_made_once(book: Book) -> None:
    """While it rings, while it is answered, and after its end."""
    assert book.attempt_made(CALL, 1) is False
    see(book, REACHED)
    assert book.attempt_made(CALL, 1) is False
    see(book, ended())
    assert book.attempt_made(CALL, 1) is False
    assert book.attempt_made(CALL, 2) is True


def test_end_without_an_answer(book: Book) -> None:
    """Told once, by what the switch says."""
    told = see(book, RINGING, ended(cause=19), ended(cause=19), REACHED)
    assert told[1:] == [
        PersonGone(
            call_id=CALL,
            attempt=1,
            outcome=AttemptOutcome.NO_ANSWER,
            cause="19 words",
            switch_utc_us=3,
        )
    ]
    assert book.attempts == {}


def test_end_that_overtakes_the_answer(book: Book) -> None:
    """The two links have no common order: who was there and is gone has hung up, and is not presented afterwards."""
    told = see(book, ended(answered=True), REACHED, FALLBACK)
    assert [made.outcome for made in told if isinstance(made, PersonGone)] == [AttemptOutcome.HUNG_UP]
    assert len(told) == 1
    assert book.calls == {}


def test_refusal_of_a_person_is_nobodys_hang_up(book: Book) -> None:
    """Asterisk makes a HangupRequest of it, and the agent who waits has not hung up."""
    see(book, HangUpAsked(leg_id=LEG), ended(cause=17))
    assert book.offers[OFFER].released is False
    assert book.offers[OFFER].hung_up_by is Side.UNKNOWN


def test_answer_of_an_attempt_that_we_ended_is_none(book: Book) -> None:
    """It crossed our asking: the end is told instead, in the application and in the fallback."""
    see(book, RINGING)
    assert book.attempt_ending(CALL, 1)
    assert see(book, REACHED, FALLBACK) == []
    [gone] = see(book, ended(answered=True))
    assert isinstance(gone, PersonGone)
    assert book.attempt_ending(CALL, 1) is False


def test_answered_attempt_is_not_ended(book: Book) -> None:
    """The engine is about to hear of the answer."""
    see(book, REACHED)
    assert book.attempt_ending(CALL, 1) is False


def test_who_answers_without_our_application_is_told_as_both(book: Book) -> None:
    """Answered, and taken by the switch's own queue; the caller's end follows as ever."""
    told = see(book, FALLBACK, ended())
    assert [type(made) for made in told] == [PersonAnswered, FallbackTook, CallerGone]


def test_fallback_of_one_who_had_answered(book: Book) -> None:
    """No second answer."""
    see(book, REACHED)
    assert [type(made) for made in see(book, FALLBACK)] == [FallbackTook]


def test_business_lasts_while_an_attempt_does(book: Book) -> None:
    """The call's worker must be there for what comes of it."""
    book.see(ended(OFFER_LEG))
    assert book.has_business(CALL)
    assert not book.has_business("c")
    book.see(ended())
    assert not book.has_business(CALL)


def test_snapshot_of_attempts(book: Book) -> None:
    """What the switch shows is told; what it does not show is no more; what we had asked to end is ending still."""
    assert book.attempt_ending(CALL, 1)
    found = book.reconcile(Snapshot(attempts=(PersonLeg(call_id=CALL, attempt=1, rang=True),)))
    assert found.attempts == (SeenAttempt(call_id=CALL, attempt=1),)
    assert found.calls == ()
    assert see(book, REACHED) == []
    [gone] = see(book, ended())
    assert isinstance(gone, PersonGone)
    assert gone.outcome is AttemptOutcome.NO_ANSWER
    assert book.reconcile(Snapshot()).attempts == ()


def test_snapshot_of_a_person_who_answered(book: Book) -> None:
    """They are a caller, with the agent they talk with."""
    leg = CallerLeg(call_id=CALL, leg_id=LEG, line="routine", place=Place.CONNECTED, offer_id=OFFER)
    [seen] = book.reconcile(Snapshot(calls=(leg,))).calls
    assert (seen.call_id, seen.leg_id, seen.standing, seen.offer_id) == (CALL, LEG, Standing.CONNECTED, OFFER)
    assert see(book, REACHED) == []


def test_offer_of_a_person_is_not_their_leg(book: Book) -> None:
    """Agent and person of one call, with the same number behind the dot."""
    assert see(book, LegAnswered(offer_id="back-c-1.1", switch_utc_us=None)) != []
    assert see(book, ended()) != []
    assert isinstance(see(Book(POLICY), LegAnswered(offer_id=OFFER, switch_utc_us=None))[0], PhoneAnswered)


# --- numbers that are keyed ---


def keys(book: Book, pressed: str) -> list[Input]:
    """The caller presses these."""
    return see(book, *(KeyHeard(leg_id="1.1", key=key, switch_utc_us=5) for key in pressed))


@pytest.fixture
def keying() -> Book:
    """A book with one caller who is asked for a number."""
    made = Book(POLICY)
    made.see(replace(REACHED, leg_id="1.1", attempt=None))
    made.collect(CALL, collect=True)
    return made


def test_number_is_told_whole(keying: Book) -> None:
    """And keys are keys again."""
    assert keys(keying, "01632960123#7") == [
        NumberKeyed(call_id=CALL, number="01632960123", switch_utc_us=5),
        KeyPressed(call_id=CALL, key="7", switch_utc_us=5),
    ]
    assert keying.is_collecting is False


def test_number_ends_with_silence(keying: Book) -> None:
    """Of the adapter's own clock."""
    keys(keying, "0163")
    assert see(keying, TimePassed(now_seconds=10.0)) == []
    assert see(keying, TimePassed(now_seconds=10.0 + NEXT_KEY_SECONDS)) == [
        NumberKeyed(call_id=CALL, number="0163")
    ]
    assert see(keying, TimePassed(now_seconds=60.0)) == []


def test_nothing_keyed_is_told_after_the_prompt(keying: Book) -> None:
    """While it plays, no time passes."""
    keying.calls[CALL].playback = playback = identity.playback(CALL, "callback-key-number", "1")
    assert see(keying, TimePassed(now_seconds=0.0), TimePassed(now_seconds=30.0)) == []
    see(keying, PlaybackEnded(playback_id=playback, completed=True, switch_utc_us=None))
    assert see(keying, TimePassed(now_seconds=30.0 + FIRST_KEY_SECONDS)) == [
        NumberKeyed(call_id=CALL, number="")
    ]


@pytest.mark.parametrize("pressed", ["9", "0163*9"])
def test_emergency_key_while_a_number_is_keyed(keying: Book, pressed: str) -> None:
    """It is that, the call is kept from then on, and no number is told."""
    assert keys(keying, pressed) == [KeyPressed(call_id=CALL, key="9", switch_utc_us=5)]
    assert keying.calls[CALL].upgraded
    assert keying.is_collecting is False


def test_digit_of_a_number_upgrades_nobody(keying: Book) -> None:
    """Nine is a digit of most numbers."""
    assert keys(keying, "0999#") == [NumberKeyed(call_id=CALL, number="0999", switch_utc_us=5)]
    assert keying.calls[CALL].upgraded is False


def test_keys_are_keys_again_where_they_are_asked_to_be(keying: Book) -> None:
    """By the engine, and for whoever talks meanwhile."""
    keys(keying, "01")
    keying.collect(CALL, collect=False)
    assert [type(made) for made in keys(keying, "1")] == [KeyPressed]
    keying.collect(CALL, collect=True)
    keying.hand_over(CALL, OFFER)
    assert [type(made) for made in keys(keying, "9")] == [KeyPressed]
    assert see(keying, TimePassed(now_seconds=0.0), TimePassed(now_seconds=99.0)) == []
    keying.collect(CALL, collect=True)
    assert keying.is_collecting is False


def test_keying_goes_on_after_a_reconnection(keying: Book) -> None:
    """What was keyed is not lost, and its end comes."""
    keys(keying, "0163")
    keying.reconcile(Snapshot(calls=(CallerLeg(call_id=CALL, leg_id="1.1", line="routine"),)))
    assert keys(keying, "2#") == [NumberKeyed(call_id=CALL, number="01632", switch_utc_us=5)]


def test_nobody_else_is_collected(keying: Book) -> None:
    """A call that is not there is none, and a storm of keys harms nobody."""
    keying.collect("c-9", collect=True)
    assert [type(made) for made in keys(keying, "0" * 500 + "#")] == [NumberKeyed]
