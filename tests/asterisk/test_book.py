"""The book: sightings to inputs, in any order, each thing once."""

from dataclasses import replace

import pytest

from edge.core.inputs import (
    AgentSeen,
    AnnouncementFinished,
    AssistAsked,
    CallAnnotated,
    CallerGone,
    CallMarkedAssisted,
    CallPassedOn,
    CallPresented,
    CallRefused,
    CallSentBack,
    ColleagueAnswered,
    ConsultationSeen,
    DiversionAnswered,
    FallbackAnswered,
    FallbackTook,
    HoldChanged,
    KeyPressed,
    PairJoined,
    PairReturned,
    PhoneAnswered,
    PhoneGone,
    PhoneRang,
    PhoneSeen,
    Standing,
    SupervisionSeen,
    WrapUpCoded,
)
from edge.core.model import BUDDY, PhoneState, Refusal, Side, Supervision, TransferKind
from edge.pbx.asterisk import identity
from edge.pbx.asterisk.book import AgentLeg, Book, CallerLeg, Place, Snapshot
from edge.pbx.asterisk.sightings import (
    AssistedMarked,
    Bridged,
    Caller,
    CallerEntered,
    CallerSwapped,
    CallMissing,
    ColleagueTook,
    Consulted,
    DeviceSeen,
    DivertedTook,
    FallbackConnected,
    FallbackEntered,
    HangUpAsked,
    Held,
    KeyHeard,
    KeyTaken,
    LegAnswered,
    LegEnded,
    LegRang,
    MemberSeen,
    PassedOn,
    PlaybackEnded,
    Told,
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


def ended(leg_id: str, cause: int = 16, status: int = 0, *, answered: bool = False) -> LegEnded:
    """A leg ends."""
    return LegEnded(
        leg_id=leg_id, cause=cause, status=status, words="words", switch_utc_us=3, answered=answered
    )


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


def test_caller_in_the_switch_s_own_queue_is_not_handed_over(book: Book) -> None:
    """The daemon was held up, the dead-man took the caller, and only then does it see that an agent had answered: that leg is
    about to be ended, and Bridge() would answer a 999 for nobody."""
    entry = FallbackEntered(
        call_id=CALL,
        leg_id=LEG,
        line="routine",
        why="dead-man",
        caller=Caller(),
        joined_utc_us=1,
        switch_utc_us=5,
    )
    assert [type(each) for each in book.see(entry)] == [FallbackTook]
    assert book.hand_over(CALL, OFFER) is None
    assert book.calls[CALL].place is Place.FALLBACK


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


def test_a_phone_that_was_hung_up_before_its_answer_was_told_is_not_unreachable(book: Book) -> None:
    """The end is told by the faster link, with a cause that says nothing, and that the leg was up; the answer comes too late."""
    book.see(rang())
    (gone,) = book.see(ended(OFFER_LEG, 0, answered=True))
    assert isinstance(gone, PhoneGone)
    assert gone.refusal is Refusal.CLEARED
    assert book.see(answered()) == []


def test_announcement_cut_by_the_hand_over_is_not_completed(book: Book) -> None:
    """A greeting that ended because the caller was connected was not heard to its end."""
    book.calls[CALL].playback = playback = identity.playback(CALL, "welcome", "1")
    book.hand_over(CALL, OFFER)
    end = PlaybackEnded(playback_id=playback, completed=True, switch_utc_us=None)
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


def test_known_leg_that_arrives_at_another_line_is_the_same_call(book: Book) -> None:
    """Whatever a transfer has written on the leg: the caller waits in that line's queue, in the call that we know."""
    talking(book)
    made = book.see(replace(entered(), call_id="c-2", line="second"))
    assert made == [CallSentBack(call_id=CALL, queue="second", offer_id=OFFER, switch_utc_us=2)]
    assert (list(book.calls), book.calls[CALL].place) == ([CALL], Place.HELD)
    assert [type(each) for each in book.see(ended(LEG))] == [CallerGone]


def test_known_leg_in_the_fallback_under_another_name_is_the_same_call(book: Book) -> None:
    """The dead-man fired before the leg had its own name again."""
    late = FallbackEntered(
        call_id="c-2",
        leg_id=LEG,
        line="second",
        why="dead-man",
        caller=Caller(),
        joined_utc_us=9,
        switch_utc_us=5,
    )
    (took,) = book.see(late)
    assert isinstance(took, FallbackTook)
    assert (took.call_id, took.line, took.joined_utc_us) == (CALL, "routine", 1)


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


def test_ended_legs_are_remembered_up_to_a_bound(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest end is forgotten first, and memory does not grow with the calls of a year."""
    monkeypatch.setattr("edge.pbx.asterisk.book.ENDED_REMEMBERED", 3)
    for number in range(1, 5):
        book.see(ended(identity.leg_of_offer(f"c-9.{number}")))
    assert [book.is_over(f"c-9.{number}") for number in range(1, 5)] == [False, True, True, True]


# --- announcements ---


def test_end_of_a_replaced_announcement_is_not_that_of_the_next(book: Book) -> None:
    """Each playing has an id of its own, even of the same prompt."""
    call = book.calls[CALL]
    first, second = (identity.playback(CALL, "still-waiting", nonce) for nonce in ("1", "2"))
    call.playback = second
    assert book.see(PlaybackEnded(playback_id=first, completed=True, switch_utc_us=None)) == []
    end = PlaybackEnded(playback_id=second, completed=True, switch_utc_us=None)
    assert book.see(end) == [AnnouncementFinished(call_id=CALL, prompt="still-waiting", completed=True)]
    assert book.see(end) == []


def test_announcement_of_another_life_ends_too() -> None:
    """A new daemon must play music when it is over."""
    book = Book(POLICY)
    book.reconcile(Snapshot(calls=(CallerLeg(call_id=CALL, leg_id=LEG, line="routine"),)))
    end = PlaybackEnded(
        playback_id=identity.playback(CALL, "welcome", "1"), completed=True, switch_utc_us=None
    )
    assert book.see(end) == [AnnouncementFinished(call_id=CALL, prompt="welcome", completed=True)]


# --- keys ---


def key(leg_id: str = LEG, pressed: str = "9") -> KeyHeard:
    """Somebody presses a key."""
    return KeyHeard(leg_id=leg_id, key=pressed, switch_utc_us=6)


def test_only_callers_keys_are_told(book: Book) -> None:
    """Waiting and talking; an agent's keys and those of strangers are dropped."""
    told = KeyPressed(call_id=CALL, key="5", switch_utc_us=6)
    assert book.see(key(pressed="5")) == [told]
    talking(book)
    assert book.see(key(pressed="5")) == [told]
    assert book.see(key(OFFER_LEG)) + book.see(key("elsewhere.1")) == []


def test_emergency_key_keeps_the_caller_at_once(book: Book) -> None:
    """A hang-up that the engine had decided on before it hears of the key is not carried out."""
    call = book.calls[CALL]
    book.see(key(pressed="8"))
    assert book.may_be_let_go(call) is True
    book.see(key())
    assert book.may_be_let_go(call) is False


@pytest.mark.parametrize("line", ["emergency", "test", "not configured any more"])
def test_emergencies_and_their_tests_are_never_let_go(line: str) -> None:
    """Nor whoever came by a line that we do not know."""
    book = Book(POLICY)
    book.see(replace(entered(), line=line))
    assert book.may_be_let_go(book.calls[CALL]) is False


def test_key_in_the_switchs_queue_is_told_by_the_dialplan_alone(book: Book) -> None:
    """It has acted on it already; hearing it twice would be two keys."""
    book.calls[CALL].place = Place.FALLBACK
    assert book.see(key()) == []
    taken = KeyTaken(call_id=CALL, key="9", switch_utc_us=7)
    assert book.see(taken) == [KeyPressed(call_id=CALL, key="9", upgraded=True, switch_utc_us=7)]
    assert book.calls[CALL].upgraded is True


# --- transfers ---


def blind(target: str) -> PassedOn:
    """The handler refers the caller to a number."""
    return PassedOn(
        kind=TransferKind.BLIND,
        transferer_leg_ids=(OFFER_LEG,),
        leg_ids=(LEG,),
        target=target,
        interfaces={},
        switch_utc_us=8,
    )


def attended(*, from_consult: bool = False, interface: str = "PJSIP/phone2", target: str = "") -> PassedOn:
    """The handler joins the caller with whom they consulted; either of their two legs may ask for it."""
    transferers, parties = (OFFER_LEG, "consult.1"), (LEG, "far.1")
    return PassedOn(
        kind=TransferKind.ATTENDED,
        transferer_leg_ids=transferers[::-1] if from_consult else transferers,
        leg_ids=parties[::-1] if from_consult else parties,
        target=target,
        interfaces={LEG: "PJSIP/trunk", "far.1": interface},
        switch_utc_us=8,
    )


CONSULTED = Consulted(
    from_phone="phone1",
    from_leg_id="consult.1",
    agent="1002",
    phone="phone2",
    leg_id="far.1",
    switch_utc_us=8,
)


def signed_in(book: Book, agent: str = "1002", phone: str = "phone2") -> None:
    """An agent is a member of a queue."""
    book.see(
        MemberSeen(
            queue="edge-routine",
            agent=agent,
            interface=f"PJSIP/{phone}",
            not_ready_reason=None,
            switch_utc_us=None,
        )
    )


@pytest.mark.parametrize(("target", "agent"), [("1002", "1002"), ("01632960777", None)])
def test_blind_transfer_passes_the_caller_on(book: Book, target: str, agent: str | None) -> None:
    """To a colleague by number, or outside; the handler's leg ends before or after it is told."""
    talking(book)
    (passed,) = book.see(blind(target))
    assert passed == CallPassedOn(
        call_id=CALL,
        offer_id=OFFER,
        kind=TransferKind.BLIND,
        target=target,
        agent=agent,
        switch_utc_us=8,
    )
    assert [type(each) for each in book.see(ended(OFFER_LEG))] == [PhoneGone]
    (gone,) = book.see(ended(LEG))
    assert isinstance(gone, CallerGone)
    assert gone.side is (Side.AGENT if agent else Side.UNKNOWN)


def test_transfer_told_after_the_handlers_end_names_their_offer(book: Book) -> None:
    """The leg's end may be told first."""
    talking(book).see(ended(OFFER_LEG))
    (passed,) = book.see(blind("1002"))
    assert isinstance(passed, CallPassedOn)
    assert passed.offer_id == OFFER


@pytest.mark.parametrize("target", ["1018", "999", "*301"])
def test_transfer_to_a_line_or_code_of_ours_is_no_passing_on(book: Book, target: str) -> None:
    """The caller comes to us, and that is told by itself."""
    assert talking(book).see(blind(target)) == []


def test_transfer_told_after_the_caller_came_back_is_no_news(book: Book) -> None:
    """It failed at once, and the websocket was quicker."""
    talking(book).see(entered(returned=True))
    assert book.see(blind("1002")) == []


@pytest.mark.parametrize("from_consult", [False, True])
def test_attended_transfer_ends_the_offer_with_the_handlers_last_leg(book: Book, from_consult: bool) -> None:
    """Whichever leg asked for it: the caller is recognised, and the handler is free once."""
    signed_in(book)
    talking(book)
    passed, taken = book.see(attended(from_consult=from_consult))
    assert isinstance(passed, CallPassedOn)
    assert isinstance(taken, ColleagueAnswered)
    assert (taken.call_id, taken.agent, taken.phone) == (CALL, "1002", "phone2")
    assert (passed.call_id, passed.offer_id, passed.agent, passed.target) == (CALL, OFFER, "1002", "1002")
    assert book.see(ended(OFFER_LEG)) == []
    assert [type(each) for each in book.see(ended("consult.1"))] == [PhoneGone]
    assert book.see(ended("consult.1")) + book.see(ended(OFFER_LEG)) == []


@pytest.mark.parametrize("from_consult", [False, True])
def test_attended_transfer_at_the_instant_of_the_colleagues_answer(book: Book, from_consult: bool) -> None:
    """The switch names no far leg, as the handler's second leg was in no bridge yet: the dialplan had told whose it is."""
    book.see(CONSULTED)
    talking(book)
    told = replace(
        attended(from_consult=from_consult), leg_ids=(LEG,), target="", interfaces={LEG: "PJSIP/trunk"}
    )
    passed, taken = book.see(told)
    assert isinstance(passed, CallPassedOn)
    assert isinstance(taken, ColleagueAnswered)
    assert (passed.agent, passed.target, taken.agent, taken.phone) == ("1002", "1002", "1002", "phone2")
    assert identity.leg_of_offer(taken.offer_id) == "far.1"
    book.see(HangUpAsked(leg_id="far.1"))
    (gone,) = book.see(ended("far.1"))
    assert isinstance(gone, PhoneGone)
    assert (gone.offer_id, gone.side) == (taken.offer_id, Side.AGENT)


@pytest.mark.parametrize(
    "told",
    [
        replace(CONSULTED, from_leg_id="consult.2"),
        replace(CONSULTED, agent="9999"),
        replace(CONSULTED, phone="nowhere"),
    ],
)
def test_attended_transfer_to_nobody_we_know(book: Book, told: Consulted) -> None:
    """What another handler's consultation, or one of no agent or phone of ours, tells of is not taken for this one's."""
    book.see(told)
    talking(book)
    (passed,) = book.see(replace(attended(), leg_ids=(LEG,), interfaces={}))
    assert isinstance(passed, CallPassedOn)
    assert passed.agent is None


def test_attended_transfer_to_a_colleague_who_has_just_hung_up(book: Book) -> None:
    """Their leg has ended: the caller was passed on, and nobody has taken them over."""
    book.see(CONSULTED)
    book.see(ended("far.1"))
    talking(book)
    (passed,) = book.see(replace(attended(), leg_ids=(LEG,), interfaces={}))
    assert isinstance(passed, CallPassedOn)
    assert passed.agent == "1002"


def test_keys_in_a_talk_of_the_switchs_own_queue(book: Book) -> None:
    """Who waits there is heard by the dialplan; who talks there is heard by us, also when the switch named nobody we know."""
    key = KeyHeard(leg_id=LEG, key="9", switch_utc_us=9)
    book.see(in_fallback())
    assert book.see(key) == []
    book.see(FallbackConnected(leg_id=LEG, agent="?", switch_utc_us=8))
    assert book.see(key) == [KeyPressed(call_id=CALL, key="9", switch_utc_us=9)]
    assert not book.may_be_let_go(book.calls[CALL])
    book.see(in_fallback())
    assert book.see(key) == []


def test_the_other_numbers_answer_is_told_of_who_was_sent_there(book: Book) -> None:
    """And of nobody else."""
    taken = DivertedTook(leg_id=LEG, switch_utc_us=9)
    assert book.see(taken) == []
    book.sent_away(book.calls[CALL])
    assert book.see(taken) == [DiversionAnswered(call_id=CALL, switch_utc_us=9)]


def in_fallback() -> FallbackEntered:
    """The switch's own queue takes the caller."""
    return FallbackEntered(
        call_id=CALL,
        leg_id=LEG,
        line="routine",
        why="dead-man",
        caller=Caller(number="01632960001"),
        joined_utc_us=1,
        switch_utc_us=7,
    )


def took(leg_id: str = "1700000000.7") -> ColleagueTook:
    """The dialplan says that 1002 answered at phone2."""
    return ColleagueTook(
        call_id=CALL, caller_leg_id=LEG, leg_id=leg_id, agent="1002", phone="phone2", switch_utc_us=9
    )


@pytest.mark.parametrize("side", [Side.AGENT, Side.CALLER])
def test_the_colleagues_leg_is_followed_to_its_end(book: Book, side: Side) -> None:
    """Hold, who hung up, and the end, as of a leg of ours; told once, and not before the transfer."""
    talking(book)
    assert book.see(took()) == []
    book.see(blind("1002"))
    book.see(ended(OFFER_LEG))
    (taken,) = book.see(took())
    assert isinstance(taken, ColleagueAnswered)
    assert identity.leg_of_offer(taken.offer_id) == "1700000000.7"
    assert identity.call_of_offer(taken.offer_id) == CALL
    (held,) = book.see(Held(leg_id="1700000000.7", held=True, switch_utc_us=10))
    assert isinstance(held, HoldChanged)
    assert held.offer_id == taken.offer_id
    book.see(HangUpAsked(leg_id="1700000000.7" if side is Side.AGENT else LEG))
    (gone,) = book.see(ended("1700000000.7"))
    assert isinstance(gone, PhoneGone)
    assert (gone.offer_id, gone.side) == (taken.offer_id, side)
    (over,) = book.see(ended(LEG))
    assert isinstance(over, CallerGone)
    assert over.side is side


@pytest.mark.parametrize("lives", [True, False])
def test_the_colleagues_leg_is_known_again_after_a_loss_of_sight(book: Book, lives: bool) -> None:
    """By its channel id, as long as the switch shows it and the caller beside it."""
    talking(book)
    book.see(blind("1002"))
    (taken,) = book.see(took())
    assert isinstance(taken, ColleagueAnswered)
    caller = replace(book.calls[CALL], offer_id=None)
    legs = frozenset({LEG, "1700000000.7"} if lives else {LEG})
    seen = book.reconcile(Snapshot(calls=(caller,), legs=legs))
    assert [offer.offer_id for offer in seen.offers] == ([taken.offer_id] if lives else [])
    assert bool(book.see(ended("1700000000.7"))) is lives


def test_a_handlers_own_calls_belong_to_their_caller(book: Book) -> None:
    """A line dialled, and a colleague rung up, from the phone at which an agent talks with a caller; and by nobody else."""
    signed_in(book, "1001", "phone1")
    signed_in(book)
    dialled = replace(entered(), call_id="c-9", leg_id="1700000000.9", interface="PJSIP/phone1")
    consulted = CONSULTED
    assert book.see(consulted) == []  # a word between colleagues
    book.offers[OFFER].interface = "PJSIP/phone1"
    talking(book).see(LegAnswered(offer_id=OFFER, switch_utc_us=7))
    assert book.see(consulted) == [
        ConsultationSeen(call_id=CALL, agent="1001", with_agent="1002", switch_utc_us=8)
    ]
    assert book.see(replace(consulted, from_phone="phone2")) == []
    (presented,) = book.see(dialled)
    assert isinstance(presented, CallPresented)
    assert presented.consultation_of == CALL
    (other,) = book.see(replace(dialled, call_id="c-8", leg_id="1700000000.8", interface="PJSIP/trunk"))
    assert isinstance(other, CallPresented)
    assert other.consultation_of is None


def test_attended_transfer_to_a_number_tells_what_was_dialled(book: Book) -> None:
    """A trunk's leg is no phone of ours."""
    talking(book)
    (passed,) = book.see(attended(interface="PJSIP/callee", target="01632960777"))
    assert isinstance(passed, CallPassedOn)
    assert (passed.target, passed.agent) == ("01632960777", None)


def test_leg_that_waits_for_its_other_one_is_not_released(book: Book) -> None:
    """It has ended: there is nothing to hang up."""
    talking(book).see(HangUpAsked(leg_id=OFFER_LEG))
    book.see(attended())
    assert book.released() == {OFFER}
    book.see(ended(OFFER_LEG))
    assert book.released() == frozenset()


SWAPPED = CallerSwapped(leg_id=LEG, replaced_leg_id="1700000000.9", switch_utc_us=8)


def waiting_handler(book: Book) -> None:
    """The handler has dialled line "second" and waits there."""
    book.see(replace(entered(), call_id="c-9", leg_id="1700000000.9", line="second"))


@pytest.mark.parametrize("consult_ended", [False, True])
def test_attended_transfer_into_a_waiting_line_goes_on_with_the_callers_own_call(
    book: Book, consult_ended: bool
) -> None:
    """The handler's own call there ends once, whichever link is quicker."""
    talking(book)
    waiting_handler(book)
    made = book.see(ended("1700000000.9")) if consult_ended else []
    made += book.see(SWAPPED) + book.see(ended("1700000000.9"))
    assert [each.call_id for each in made if isinstance(each, CallerGone)] == ["c-9"]
    assert made[-1] == CallSentBack(call_id=CALL, queue="second", offer_id=OFFER, switch_utc_us=8)
    assert (list(book.calls), book.calls[CALL].place) == ([CALL], Place.HELD)


def test_stranger_who_takes_a_waiting_handlers_place_goes_on_with_that_call(book: Book) -> None:
    """Somebody who was no caller of ours is now: the call has another leg."""
    waiting_handler(book)
    swapped = replace(SWAPPED, leg_id="other.1")
    assert book.see(swapped) + book.see(ended("1700000000.9")) == []
    assert book.see(key("other.1", "5")) == [KeyPressed(call_id="c-9", key="5", switch_utc_us=6)]
    assert [type(each) for each in book.see(ended("other.1"))] == [CallerGone]


def test_caller_who_is_sent_to_the_emergencies_is_not_let_go_any_more(book: Book) -> None:
    """The dialplan has upgraded them on the way."""
    (back,) = talking(book).see(replace(entered(), sent_back_to="emergency"))
    assert back == CallSentBack(call_id=CALL, queue="emergency", offer_id=OFFER, switch_utc_us=2)
    assert book.may_be_let_go(book.calls[CALL]) is False


def test_transfer_into_the_switchs_own_queue(book: Book) -> None:
    """The handler waited there, without us; now the caller does."""
    talking(book)
    made = book.see(replace(attended(), into_queue=True, interfaces={}))
    assert [type(each) for each in made] == [FallbackTook]
    assert book.calls[CALL].place is Place.FALLBACK


# --- what is said in our own words ---


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (WrapUpCoded(agent="1001", code="crime"), True),
        (WrapUpCoded(agent="7777", code="crime"), False),
        (AssistAsked(agent="1001"), True),
        (AssistAsked(agent=""), False),
        (SupervisionSeen(supervisor="1002", agent="1001", mode=Supervision.LISTEN, began=True), True),
        (SupervisionSeen(supervisor="7777", agent="1001", mode=Supervision.BARGE, began=True), False),
        (CallAnnotated(call_id="c-0", kind="incident", value="LC-1"), True),
    ],
)
def test_only_people_we_know_are_heard(
    book: Book, said: WrapUpCoded | AssistAsked | SupervisionSeen | CallAnnotated, heard: bool
) -> None:
    """The engine judges calls; nobody who is not configured reaches it."""
    assert book.see(Told(said=said)) == ([said] if heard else [])


def test_refused_call_does_not_begin_afterwards() -> None:
    """It never had a place."""
    book = Book(POLICY)
    refused = CallRefused(call_id=CALL, leg_id=LEG, line="routine", why="no channel to spare")
    assert book.see(Told(said=refused)) + book.see(entered()) == [refused]


def test_mark_by_a_handler_means_the_call_they_talk_on(book: Book) -> None:
    """By the phone at which they are signed in, and in the fallback by who was connected."""
    mark = AssistedMarked(call_id=None, agent="1001", by="1001", switch_utc_us=9)
    signed_in(book, "1001", "phone1")
    assert book.see(mark) == []
    book.offers[OFFER].interface = "PJSIP/phone1"
    talking(book)
    marked = CallMarkedAssisted(call_id=CALL, by="1001", switch_utc_us=9)
    assert book.see(mark) == [marked]
    book.see(ended(OFFER_LEG))
    book.calls[CALL].place = Place.FALLBACK
    book.see(FallbackConnected(leg_id=LEG, agent="1001", switch_utc_us=None))
    assert book.see(mark) == [marked]
    assert book.see(replace(mark, agent="1002")) == []


@pytest.mark.parametrize(("by", "agent"), [("1001", "1001"), (BUDDY, BUDDY), ("stranger", None), ("", None)])
def test_whoever_answers_in_the_fallback_is_named_if_known(book: Book, by: str, agent: str | None) -> None:
    """Agents, the buddy force and the test phone."""
    book.calls[CALL].place = Place.FALLBACK
    connected = FallbackConnected(leg_id=LEG, agent=by, switch_utc_us=None)
    assert book.see(connected) == [FallbackAnswered(call_id=CALL, agent=agent)]


def test_upgrade_survives_a_reconnection(book: Book) -> None:
    """Whether it stands on the leg or only in our memory."""
    book.see(key())
    noted = CallerLeg(call_id="c-2", leg_id="2.2", line="routine", upgraded=True)
    book.reconcile(Snapshot(calls=(CallerLeg(call_id=CALL, leg_id=LEG, line="routine"), noted)))
    assert [call.upgraded for call in book.calls.values()] == [True, True]
