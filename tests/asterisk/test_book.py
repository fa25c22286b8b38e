"""The book: sightings to inputs, in any order, each thing once."""

from dataclasses import replace

import pytest

from edge.core.inputs import (
    AgentSeen,
    AnnouncementFinished,
    CallerGone,
    CallPresented,
    FallbackTook,
    HoldChanged,
    PairJoined,
    PairReturned,
    PhoneAnswered,
    PhoneGone,
    PhoneRang,
    PhoneSeen,
    Standing,
)
from edge.core.model import PhoneState, Refusal, Side
from edge.pbx.asterisk.book import AgentLeg, Book, CallerLeg, Place, Snapshot
from edge.pbx.asterisk.sightings import (
    Bridged,
    Caller,
    CallerEntered,
    CallMissing,
    DeviceSeen,
    FallbackEntered,
    HangUpAsked,
    Held,
    LegAnswered,
    LegEnded,
    LegRang,
    MemberSeen,
    PlaybackEnded,
)
from tests.asterisk.site import POLICY

CALL, LEG, OFFER, OFFER_LEG = "c-1", "1700000000.1", "c-1.1", "edge-c-1.1-leg"


def entered(*, returned: bool = False) -> CallerEntered:
    """A caller comes into the application."""
    return CallerEntered(
        call_id=CALL,
        leg_id=LEG,
        line="routine",
        caller=Caller(number="01632960001"),
        returned=returned,
        joined_utc_us=1,
        switch_utc_us=2,
    )


def ended(leg_id: str, cause: int = 16, status: int = 0) -> LegEnded:
    """A leg ends."""
    return LegEnded(leg_id=leg_id, cause=cause, status=status, words="words", switch_utc_us=3)


def bridged(leg_id: str, bridge_id: str | None = "b") -> Bridged:
    """A leg enters or leaves a bridge."""
    return Bridged(leg_id=leg_id, bridge_id=bridge_id, switch_utc_us=4)


def rang() -> LegRang:
    """The phone rings."""
    return LegRang(offer_id=OFFER, switch_utc_us=None)


def answered() -> LegAnswered:
    """The phone is answered."""
    return LegAnswered(offer_id=OFFER, switch_utc_us=None)


@pytest.fixture
def book() -> Book:
    """A book with one waiting caller and one offer made."""
    made = Book(POLICY)
    made.see(entered())
    made.offer_made(OFFER)
    return made


def talking(book: Book) -> Book:
    """The pair is joined."""
    book.see(answered())
    book.hand_over(CALL, OFFER)
    book.see(bridged(OFFER_LEG))
    book.see(bridged(LEG))
    return book


def test_caller_is_presented_once() -> None:
    """A StasisStart that comes twice presents one call."""
    book = Book(POLICY)
    made = book.see(entered()) + book.see(entered())
    assert [type(each) for each in made] == [CallPresented]


def test_hang_up_that_overtakes_the_arrival_still_ends_the_call() -> None:
    """The end may be heard on AMI before the beginning on ARI."""
    book = Book(POLICY)
    made = book.see(ended(LEG)) + book.see(entered()) + book.see(ended(LEG))
    assert [type(each) for each in made] == [CallPresented, CallerGone]
    assert book.has_business(CALL) is False


def test_call_that_has_ended_does_not_begin_again(book: Book) -> None:
    """A late word of a caller who is gone opens nothing."""
    book.see(ended(LEG))
    late = FallbackEntered(
        call_id=CALL,
        leg_id=LEG,
        line="routine",
        why="sent",
        caller=Caller(),
        joined_utc_us=1,
        switch_utc_us=5,
    )
    assert book.see(entered()) + book.see(late) == []


def test_ring_and_answer_are_told_once(book: Book) -> None:
    """Both links tell of the same ring and answer."""
    made = (
        book.see(rang()) + book.see(rang()) + book.see(answered()) + book.see(answered()) + book.see(rang())
    )
    assert [type(each) for each in made] == [PhoneRang, PhoneAnswered]


def test_answer_after_we_asked_for_the_end_is_not_an_answer(book: Book) -> None:
    """Once its end was asked for, a leg can only end."""
    book.offer_ending(OFFER)
    assert book.see(answered()) == []
    (gone,) = book.see(ended(OFFER_LEG))
    assert isinstance(gone, PhoneGone)
    assert (gone.refusal, gone.side) == (Refusal.CLEARED, Side.SYSTEM)


def test_end_told_by_both_links_is_told_once(book: Book) -> None:
    """AMI Hangup and ARI ChannelDestroyed are one end."""
    made = book.see(ended(OFFER_LEG)) + book.see(ended(OFFER_LEG))
    assert [type(each) for each in made] == [PhoneGone]


def test_pair_is_joined_when_both_are_in_one_bridge(book: Book) -> None:
    """One leg alone, or two bridges, are no conversation."""
    book.see(answered())
    book.hand_over(CALL, OFFER)
    assert book.see(bridged(OFFER_LEG, "other")) + book.see(bridged(LEG)) == []
    made = book.see(bridged(OFFER_LEG)) + book.see(bridged(LEG))
    assert [type(each) for each in made] == [PairJoined]


@pytest.mark.parametrize(("leg", "side"), [(LEG, Side.CALLER), (OFFER_LEG, Side.AGENT)])
def test_who_hung_up_is_told_for_both_legs(book: Book, leg: str, side: Side) -> None:
    """The side comes from the request, not from the order of the ends."""
    talking(book).see(HangUpAsked(leg_id=leg))
    made = book.see(ended(OFFER_LEG)) + book.see(ended(LEG))
    assert [each.side for each in made if isinstance(each, PhoneGone | CallerGone)] == [side, side]


def test_phone_that_hung_up_is_released_until_its_leg_ends(book: Book) -> None:
    """Asterisk may lose a phone's hang-up; a caller's own hang-up says nothing of the phone."""
    talking(book).see(HangUpAsked(leg_id=LEG))
    assert book.released() == frozenset()
    book.see(HangUpAsked(leg_id=OFFER_LEG))
    assert book.released() == {OFFER}
    book.see(ended(OFFER_LEG))
    assert book.released() == frozenset()


def test_failed_hand_over_returns_the_caller(book: Book) -> None:
    """The dialplan found no agent leg: the caller is in our hands again, and which hand-over failed is told."""
    book.hand_over(CALL, OFFER)
    assert book.see(entered(returned=True)) == [PairReturned(call_id=CALL, offer_id=OFFER, switch_utc_us=2)]
    assert book.calls[CALL].place is Place.HELD


def test_talking_pair_is_not_handed_over_again(book: Book) -> None:
    """A second ConnectPair must not disturb a conversation."""
    assert talking(book).hand_over(CALL, OFFER) is None


def test_hold_is_told_of_the_agent_only(book: Book) -> None:
    """A caller who holds is no agent's hold."""
    talking(book)
    made = book.see(Held(leg_id=OFFER_LEG, held=True, switch_utc_us=5))
    made += book.see(Held(leg_id=LEG, held=True, switch_utc_us=5))
    assert made == [HoldChanged(offer_id=OFFER, held=True, switch_utc_us=5)]


@pytest.mark.parametrize(
    ("cause", "status", "ringing", "refusal"),
    [
        (17, 486, True, Refusal.BUSY),
        (21, 603, False, Refusal.REJECTED),
        (19, 480, True, Refusal.NO_ANSWER),
        (19, 480, False, Refusal.UNREACHABLE),
        (1, 404, False, Refusal.UNREACHABLE),
        (34, 503, False, Refusal.UNREACHABLE),
        (0, 503, False, Refusal.UNREACHABLE),
        (38, 500, False, Refusal.UNREACHABLE),
        (20, 0, False, Refusal.UNREACHABLE),
        (17, 0, False, Refusal.BUSY),
        (23, 302, True, Refusal.FAILED),
    ],
)
def test_refusals(book: Book, cause: int, status: int, ringing: bool, refusal: Refusal) -> None:
    """What 22.10.1 says of the end of an unanswered leg, in our words."""
    if ringing:
        book.see(rang())
    (gone,) = book.see(ended(OFFER_LEG, cause, status))
    assert isinstance(gone, PhoneGone)
    assert gone.refusal is refusal


def test_announcement_cut_by_the_hand_over_is_not_completed(book: Book) -> None:
    """A greeting that ended because the caller was connected was not heard to its end."""
    book.calls[CALL].prompt = "welcome"
    book.hand_over(CALL, OFFER)
    end = PlaybackEnded(playback_id=f"edge-greeting-{CALL}", completed=True, switch_utc_us=None)
    assert book.see(end) == [AnnouncementFinished(call_id=CALL, prompt="welcome", completed=False)]


def member(queue: str, interface: str | None = "PJSIP/phone1", reason: str | None = None) -> MemberSeen:
    """A member of a queue."""
    return MemberSeen(
        queue=queue, agent="1001", interface=interface, not_ready_reason=reason, switch_utc_us=None
    )


def test_agent_is_the_union_of_the_queues() -> None:
    """Two queues, one agent: only changes of the whole are told, and signed out means out of all."""
    book = Book(POLICY)
    sightings = [
        member("edge-routine"),
        member("edge-emergency"),
        member("edge-routine", reason="lunch"),
        member("edge-emergency", reason="lunch"),
        member("edge-routine", interface=None),
        member("edge-emergency", interface=None),
    ]
    made = [each for sighting in sightings for each in book.see(sighting)]
    assert made == [
        AgentSeen(agent="1001", phone="phone1"),
        AgentSeen(agent="1001", phone="phone1", not_ready_reason="lunch"),
        AgentSeen(agent="1001", phone=None),
    ]


def test_phone_is_told_when_it_changes() -> None:
    """A state told twice is one change, and devices that are no phone of ours are none."""
    book = Book(POLICY)
    made = [
        each
        for interface in ("PJSIP/phone1", "PJSIP/phone1", "Queue:edge-routine")
        for each in book.see(DeviceSeen(interface=interface, state=PhoneState.IDLE, switch_utc_us=None))
    ]
    assert made == [PhoneSeen(phone="phone1", state=PhoneState.IDLE)]


def test_reconcile_makes_the_book_what_the_switch_shows(book: Book) -> None:
    """What the snapshot does not show is forgotten; a leg that was to end is still ending."""
    book.offer_ending(OFFER)
    caller = CallerLeg(call_id="c-2", leg_id="2.2", line="routine", place=Place.CONNECTED, offer_id="c-2.1")
    snapshot = Snapshot(
        calls=(caller,), offers=(AgentLeg(offer_id=OFFER),), members=(member("edge-routine"),)
    )
    seen = book.reconcile(snapshot)
    assert [(call.call_id, call.standing, call.offer_id) for call in seen.calls] == [
        ("c-2", Standing.CONNECTED, "c-2.1")
    ]
    assert seen.agents == (AgentSeen(agent="1001", phone="phone1"),)
    assert (list(book.calls), book.offers[OFFER].ending) == (["c-2"], True)


def test_caller_whom_the_switch_does_not_know_is_gone(book: Book) -> None:
    """Looked for and not found ends the call, whether or not the book still had it."""
    made = book.see(CallMissing(call_id=CALL)) + book.see(CallMissing(call_id="c-9"))
    assert [each.call_id for each in made if isinstance(each, CallerGone)] == [CALL, "c-9"]


def test_fallback_may_be_the_first_that_is_heard_of_a_call() -> None:
    """With the application gone the dialplan queues the caller at once."""
    book = Book(POLICY)
    entry = FallbackEntered(
        call_id=CALL,
        leg_id=LEG,
        line="routine",
        why="entry",
        caller=Caller(),
        joined_utc_us=1,
        switch_utc_us=5,
    )
    assert [type(each) for each in book.see(entry) + book.see(ended(LEG))] == [FallbackTook, CallerGone]


def test_caller_sent_to_another_line_ends_one_call_and_begins_another(book: Book) -> None:
    """Two calls cannot share a leg: the old one is over when the new one stands before us."""
    talking(book)
    made = book.see(replace(entered(), call_id="c-2", line="emergency"))
    assert [(type(each), getattr(each, "call_id", "")) for each in made] == [
        (CallerGone, CALL),
        (CallPresented, "c-2"),
    ]
    assert [type(each) for each in book.see(ended(LEG))] == [CallerGone]


def test_a_failed_hand_over_says_nothing_of_a_later_hang_up(book: Book) -> None:
    """The agent hung up before the pair was joined; the caller who gives up minutes later was not ended by the agent."""
    book.see(answered())
    book.hand_over(CALL, OFFER)
    book.see(HangUpAsked(leg_id=OFFER_LEG))
    book.see(ended(OFFER_LEG))
    book.see(entered(returned=True))
    [gone] = book.see(ended(LEG))
    assert isinstance(gone, CallerGone)
    assert gone.side is Side.UNKNOWN


def test_the_end_of_a_leg_is_remembered(book: Book) -> None:
    """A hang-up that crosses the leg's own end finds it over: nobody waits for another end."""
    book.see(ended(OFFER_LEG))
    assert book.is_over(OFFER)
    assert not book.is_over("c-1.2")
