"""Transfers as Asterisk 22.10.1 told them, on both links, folded into inputs whichever link is quicker.

Recorded: five callers who talk with agent 4001. The handler transfers the 1st blindly to colleague 4002, the 2nd blindly to 4003,
who is not signed in, the 3rd to 4002 after a word with them, the 4th into line "second" where the handler waited, and the
5th by the send-back code to queue "second". The 1st has pressed 7 before.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edge.core.inputs import (
    AssistAsked,
    CallerGone,
    CallPassedOn,
    CallPresented,
    CallSentBack,
    ColleagueAnswered,
    Input,
    KeyPressed,
    PairReturned,
    PhoneAnswered,
    PhoneGone,
)
from edge.core.model import Agent, Answer, Line, Phone, Policy, Queue, Side, Tier, TransferKind
from edge.pbx.asterisk import identity
from edge.pbx.asterisk.ami import translate as ami
from edge.pbx.asterisk.ami import wire
from edge.pbx.asterisk.ari import translate as ari
from edge.pbx.asterisk.book import Book
from edge.pbx.asterisk.sightings import CanaryHeard, Sighting

HERE = Path(__file__).parent


def line(name: str, number: str, queue: str) -> Line:
    """A 101 line."""
    return Line(
        name=name,
        number=number,
        queue=queue,
        tier=Tier.ROUTINE,
        priority_class="standard",
        answer=Answer.ON_ARRIVAL,
    )


POLICY = Policy(
    lines={
        "101-no-greeting": line("101-no-greeting", "1010", "101"),
        "second": line("second", "1018", "second"),
    },
    queues={name: Queue(name=name, skills=("101",)) for name in ("101", "second")},
    classes={},
    agents={
        number: Agent(number=number, name=number, skills={"101": 1}) for number in ("4001", "4002", "4003")
    },
    phones={name: Phone(name=name) for name in ("agent1", "agent2", "agent3")},
)


def from_ari() -> Iterator[tuple[int, Sighting]]:
    """What the websocket showed, with its stamps."""
    for text in (HERE / "asterisk-22.10.1.transfers.ari.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(text)
        if (sighting := ari.sighting(event)) is not None:
            yield ari.stamp(event) or 0, sighting


def from_ami() -> Iterator[tuple[int, Sighting]]:
    """What the manager interface showed, with its stamps."""
    for frame in wire.Framer().feed((HERE / "asterisk-22.10.1.transfers.ami.txt").read_bytes()):
        message = wire.parse(frame)
        if message is not None and (sighting := ami.sighting(message)) is not None:
            yield ami.stamp(message) or 0, sighting


def fold(ari_late_us: int) -> list[Input]:
    """The inputs that a new book makes of both; each phone that answers is joined with its caller at once."""
    told = [(stamp + ari_late_us, sighting) for stamp, sighting in from_ari()] + list(from_ami())
    book, made = Book(POLICY), list[Input]()
    for _, sighting in sorted(told, key=lambda each: each[0]):
        if isinstance(sighting, CanaryHeard):
            continue
        for given_ in book.see(sighting):
            made.append(given_)
            if isinstance(given_, PhoneAnswered):
                book.hand_over(identity.call_of_offer(given_.offer_id), given_.offer_id)
    return made


def of(kind: type[Input], made: list[Input]) -> list[Input]:
    """Those of this kind, without the switch's stamps."""
    return [replace(each, switch_utc_us=None) for each in made if isinstance(each, kind)]


def callers(made: list[Input]) -> list[str]:
    """The five calls, in order; a handler's own call to a line is none of them."""
    presented = [each for each in made if isinstance(each, CallPresented)]
    return [each.call_id for each in presented if each.caller_number != "agent1"]


late = st.integers(-3_000, 1_500)
"""How much later than it should the websocket tells, in microseconds: the links are not in order with each other. The 2nd
caller hung up 1.9 ms after they had come back."""


@given(late)
def test_each_call_and_each_offer_ends_once(ari_late_us: int) -> None:
    """Six calls (the handler's own among them), five offers and the leg of a colleague, as many ends."""
    made = fold(ari_late_us)
    calls = [each.call_id for each in made if isinstance(each, CallPresented)]
    assert (len(callers(made)), len(calls), len(set(calls))) == (5, 6, 6)
    assert sorted(each.call_id for each in made if isinstance(each, CallerGone)) == sorted(calls)
    [taken] = [each for each in made if isinstance(each, ColleagueAnswered)]
    offers = [taken.offer_id, *(f"{call_id}.1" for call_id in callers(made))]
    assert sorted(each.offer_id for each in made if isinstance(each, PhoneGone)) == sorted(offers)


@given(late)
def test_callers_are_followed_through_transfers(ari_late_us: int) -> None:
    """Who was passed on to whom, who came back, who was sent to which queue: each as the same call."""
    made = fold(ari_late_us)
    first, second, third, fourth, fifth = callers(made)
    passed = {each.call_id: each for each in made if isinstance(each, CallPassedOn)}
    assert (passed[first].kind, passed[first].agent) == (TransferKind.BLIND, "4002")
    assert (passed[third].kind, passed[third].target, passed[third].agent) == (
        TransferKind.ATTENDED,
        "4002",
        "4002",
    )
    [taken] = [each for each in made if isinstance(each, ColleagueAnswered)]
    assert (taken.call_id, taken.agent, taken.phone) == (
        third,
        "4002",
        "agent2",
    )  # who talks with them already
    assert made.index(passed[third]) < made.index(taken)
    assert {fourth, fifth} & passed.keys() == set()
    assert [each.call_id for each in made if isinstance(each, PairReturned)] == [second]
    assert of(CallSentBack, made) == [
        CallSentBack(call_id=call_id, queue="second", offer_id=f"{call_id}.1") for call_id in (fourth, fifth)
    ]


@given(late)
def test_who_returns_was_passed_on_before_or_not_at_all(ari_late_us: int) -> None:
    """A transfer that failed at once may be told after the return: then it is no news any more."""
    made = fold(ari_late_us)
    second = callers(made)[1]
    kinds = [
        type(each)
        for each in made
        if getattr(each, "call_id", "") == second and isinstance(each, CallPassedOn | PairReturned)
    ]
    assert kinds in ([CallPassedOn, PairReturned], [PairReturned])


def test_key_and_code_are_heard() -> None:
    """The caller's key, not those of anybody else; and the handler's code."""
    made = fold(0)
    assert of(KeyPressed, made) == [KeyPressed(call_id=callers(made)[0], key="7")]
    assert of(AssistAsked, made) == [AssistAsked(agent="4001")]


def test_who_hung_up_after_a_transfer() -> None:
    """The colleague, on whose leg we have no eye, or the caller."""
    made = fold(0)
    sides = {each.call_id: each.side for each in made if isinstance(each, CallerGone)}
    assert [sides[call_id] for call_id in callers(made)] == [
        Side.AGENT,
        Side.CALLER,
        Side.CALLER,
        Side.CALLER,
        Side.CALLER,
    ]
