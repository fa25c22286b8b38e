"""The rules, as tables. Draw the state diagrams from here (`python -m edge.core.diagrams`), change them here.

Three kinds of table:

`*_TRANSITIONS`: state -> fact -> next state. The fold (`edge.core.state`) walks them; a missing row is an illegal fact,
    raised before anything has changed.
`*_REACTIONS`: input -> state -> reaction. What the engine does with an input in each state, every absurd pair included:
    glare is decided here, on purpose. The reactions are methods of `edge.core.engine.Engine`.
`*_DEADLINES`: state -> when to be woken and what to do then, so that no state can be left to rot.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from edge.core import facts, inputs
from edge.core.model import CallState, OfferState, TaskOfferState

State = TypeVar("State", bound=StrEnum)


class IllegalFactError(Exception):
    """A fact that the tables do not allow here: a programming fault, or a ledger that was altered. Nothing was changed."""


def next_state(
    table: dict[State, dict[type[facts.Fact], State]], state: State, fact: facts.Fact, whose: str
) -> State:
    """Where this fact leads from `state`. Raises `IllegalFactError`, naming whose state it is, when there is no such row."""
    try:
        return table[state][type(fact)]
    except KeyError:
        raise IllegalFactError(f"{type(fact).__name__} while {whose} is {state}") from None


CALL_TRANSITIONS: dict[CallState, dict[type[facts.Fact], CallState]] = {
    CallState.WAITING: {
        facts.OfferMade: CallState.OFFERED,
        facts.OfferAnswered: CallState.CONNECTING,  # a withdrawn phone that was answered first
        facts.FallbackEntered: CallState.FALLBACK,
        facts.CallQueued: CallState.WAITING,
        facts.CallUpgraded: CallState.WAITING,
        facts.CallTurnedAway: CallState.LEAVING,
        facts.CallDiverted: CallState.LEAVING,
        facts.CallbackPromised: CallState.PROMISED,
        facts.CallbackWaits: CallState.CALLBACK,
        facts.CallbackAttemptEnded: CallState.CALLBACK,  # a person who was called back gave up while they waited again
        facts.CallEnded: CallState.ENDED,
    },
    CallState.OFFERED: {
        facts.OfferMade: CallState.OFFERED,
        facts.OfferAnswered: CallState.CONNECTING,
        facts.OfferWithdrawn: CallState.WAITING,  # when it was the last live offer
        facts.OfferEnded: CallState.WAITING,  # likewise
        facts.FallbackEntered: CallState.FALLBACK,
        facts.CallUpgraded: CallState.OFFERED,
        facts.CallbackWaits: CallState.CALLBACK,
        facts.CallbackAttemptEnded: CallState.CALLBACK,
        facts.CallEnded: CallState.ENDED,
    },
    CallState.CONNECTING: {
        facts.CallConnected: CallState.TALKING,
        facts.CallReturned: CallState.WAITING,
        facts.CallSentBack: CallState.WAITING,
        facts.FallbackEntered: CallState.FALLBACK,
        facts.CallUpgraded: CallState.CONNECTING,
        facts.CallbackWaits: CallState.CALLBACK,
        facts.CallbackAttemptEnded: CallState.CALLBACK,
        facts.CallEnded: CallState.ENDED,
    },
    CallState.TALKING: {
        facts.CallHeld: CallState.TALKING,
        facts.CallResumed: CallState.TALKING,
        facts.CallReturned: CallState.WAITING,
        facts.CallSentBack: CallState.WAITING,
        facts.CallPassedOn: CallState.TALKING,
        facts.CallTakenOver: CallState.TALKING,
        facts.FallbackEntered: CallState.FALLBACK,
        facts.CallUpgraded: CallState.TALKING,
        facts.CallbackAttemptEnded: CallState.CALLBACK,  # a machine, in the handler's judgement
        facts.CallEnded: CallState.ENDED,
    },
    CallState.FALLBACK: {
        facts.FallbackConnected: CallState.FALLBACK,
        facts.CallQueued: CallState.WAITING,
        facts.CallSentBack: CallState.WAITING,
        facts.CallUpgraded: CallState.FALLBACK,
        facts.CallbackWaits: CallState.CALLBACK,  # promised, and gone before anybody answered there
        facts.CallbackAttemptEnded: CallState.CALLBACK,
        facts.CallEnded: CallState.ENDED,
    },
    CallState.LEAVING: {
        facts.CallUpgraded: CallState.WAITING,
        facts.CallReturned: CallState.WAITING,  # the other number did not answer
        facts.DiversionAnswered: CallState.LEAVING,
        facts.CallTurnedAway: CallState.LEAVING,
        facts.FallbackEntered: CallState.FALLBACK,
        facts.CallEnded: CallState.ENDED,
    },
    CallState.PROMISED: {
        facts.CallbackConfirmed: CallState.PROMISED,
        facts.CallbackWaits: CallState.CALLBACK,
        facts.CallbackRevoked: CallState.WAITING,
        facts.CallUpgraded: CallState.WAITING,
        facts.FallbackEntered: CallState.FALLBACK,
        facts.CallEnded: CallState.ENDED,
    },
    CallState.CALLBACK: {
        facts.CallbackSilent: CallState.CALLBACK,
        facts.OfferMade: CallState.RESERVING,
        facts.OfferAnswered: CallState.DIALLING,  # a withdrawn phone that was answered first
        facts.CallbackAttempted: CallState.DIALLING,  # caller first
        facts.CallbackPickedUp: CallState.CHECKING,  # found answered after the attempt was given up
        facts.CallEnded: CallState.ENDED,
    },
    CallState.RESERVING: {
        facts.OfferAnswered: CallState.DIALLING,
        facts.OfferWithdrawn: CallState.CALLBACK,
        facts.OfferEnded: CallState.CALLBACK,
        facts.CallbackPickedUp: CallState.CHECKING,
        facts.CallEnded: CallState.ENDED,
    },
    CallState.DIALLING: {
        facts.CallbackAttempted: CallState.DIALLING,
        facts.CallbackDialled: CallState.DIALLING,
        facts.CallbackRang: CallState.DIALLING,
        facts.CallbackAnswered: CallState.CONNECTING,
        facts.CallbackPickedUp: CallState.CHECKING,
        facts.CallbackAttemptEnded: CallState.CALLBACK,
        facts.CallEnded: CallState.ENDED,
    },
    CallState.CHECKING: {
        facts.CallbackPresent: CallState.WAITING,
        facts.CallbackAttemptEnded: CallState.CALLBACK,
        facts.CallUpgraded: CallState.WAITING,
        facts.FallbackEntered: CallState.FALLBACK,
        facts.CallEnded: CallState.ENDED,
    },
}

OFFER_TRANSITIONS: dict[OfferState, dict[type[facts.Fact], OfferState]] = {
    OfferState.CALLING: {
        facts.OfferRang: OfferState.RINGING,
        facts.OfferAnswered: OfferState.ANSWERED,
        facts.OfferWithdrawn: OfferState.WITHDRAWN,
        facts.OfferEnded: OfferState.ENDED,
    },
    OfferState.RINGING: {
        facts.OfferAnswered: OfferState.ANSWERED,
        facts.OfferWithdrawn: OfferState.WITHDRAWN,
        facts.OfferEnded: OfferState.ENDED,
    },
    OfferState.ANSWERED: {
        facts.OfferWithdrawn: OfferState.WITHDRAWN,
        facts.OfferEnded: OfferState.ENDED,
    },
    OfferState.WITHDRAWN: {
        facts.OfferAnswered: OfferState.ANSWERED,
        facts.OfferEnded: OfferState.ENDED,
    },
}

TASK_OFFER_TRANSITIONS: dict[TaskOfferState, dict[type[facts.Fact], TaskOfferState]] = {
    TaskOfferState.CALLING: {
        facts.TaskOfferRang: TaskOfferState.RINGING,
        facts.TaskOfferAnswered: TaskOfferState.CHOOSING,
        facts.TaskOfferWithdrawn: TaskOfferState.WITHDRAWN,
        facts.TaskOfferEnded: TaskOfferState.ENDED,
    },
    TaskOfferState.RINGING: {
        facts.TaskOfferAnswered: TaskOfferState.CHOOSING,
        facts.TaskOfferWithdrawn: TaskOfferState.WITHDRAWN,
        facts.TaskOfferEnded: TaskOfferState.ENDED,
    },
    TaskOfferState.CHOOSING: {
        facts.TaskAttempted: TaskOfferState.DIALLING,
        facts.TaskOfferWithdrawn: TaskOfferState.WITHDRAWN,
        facts.TaskOfferEnded: TaskOfferState.ENDED,
    },
    TaskOfferState.DIALLING: {
        facts.TaskDialled: TaskOfferState.DIALLING,
        facts.TaskReached: TaskOfferState.TALKING,
        facts.TaskAttemptEnded: TaskOfferState.WITHDRAWN,
    },
    TaskOfferState.TALKING: {
        facts.TaskAttemptEnded: TaskOfferState.WITHDRAWN,
    },
    TaskOfferState.WITHDRAWN: {
        facts.TaskReached: TaskOfferState.TALKING,  # answered as a 999 had it given up
        facts.TaskOfferEnded: TaskOfferState.ENDED,
    },
}

CALL_REACTIONS: dict[type[inputs.Input], dict[CallState, str]] = {
    inputs.CallPresented: {
        CallState.WAITING: "serve_again",  # doubled, or adopted after a reconnect
        CallState.OFFERED: "serve_again",
        CallState.CONNECTING: "ignore",  # the hand-over decides; a return says so itself
        CallState.TALKING: "ignore",
        CallState.FALLBACK: "take_back",
        CallState.LEAVING: "leaving_again",
        CallState.PROMISED: "serve_promised",
        CallState.CALLBACK: "person_left_behind",
        CallState.RESERVING: "person_left_behind",
        CallState.DIALLING: "ignore",
        CallState.CHECKING: "serve_checked",
    },
    inputs.CallerGone: {
        CallState.WAITING: "abandon",
        CallState.OFFERED: "abandon",
        CallState.CONNECTING: "abandon",  # in the same breath as the answer: the agent gets no wrap-up
        CallState.TALKING: "conversation_over",
        CallState.FALLBACK: "fallback_over",
        CallState.LEAVING: "left",
        CallState.PROMISED: "off_the_line",
        CallState.CALLBACK: "ignore",
        CallState.RESERVING: "ignore",
        CallState.DIALLING: "ignore",
        CallState.CHECKING: "checked_hung_up",
    },
    inputs.CallPassedOn: {
        CallState.WAITING: "ignore",
        CallState.OFFERED: "ignore",
        CallState.CONNECTING: "passed_on",  # who passes a caller on was connected: that word is late
        CallState.TALKING: "passed_on",
        CallState.FALLBACK: "ignore",
        CallState.LEAVING: "ignore",
        CallState.PROMISED: "ignore",
        CallState.CALLBACK: "ignore",
        CallState.RESERVING: "ignore",
        CallState.DIALLING: "ignore",
        CallState.CHECKING: "ignore",
    },
    inputs.ColleagueAnswered: {
        CallState.WAITING: "ignore",
        CallState.OFFERED: "ignore",
        CallState.CONNECTING: "ignore",
        CallState.TALKING: "colleague_answered",
        CallState.FALLBACK: "ignore",
        CallState.LEAVING: "ignore",
        CallState.PROMISED: "ignore",
        CallState.CALLBACK: "ignore",
        CallState.RESERVING: "ignore",
        CallState.DIALLING: "ignore",
        CallState.CHECKING: "ignore",
    },
    inputs.DiversionAnswered: {
        CallState.WAITING: "ignore",
        CallState.OFFERED: "ignore",
        CallState.CONNECTING: "ignore",
        CallState.TALKING: "ignore",
        CallState.FALLBACK: "ignore",
        CallState.LEAVING: "diversion_answered",
        CallState.PROMISED: "ignore",
        CallState.CALLBACK: "ignore",
        CallState.RESERVING: "ignore",
        CallState.DIALLING: "ignore",
        CallState.CHECKING: "ignore",
    },
    inputs.CallSentBack: {
        CallState.WAITING: "sent_back_again",
        CallState.OFFERED: "sent_back_again",
        CallState.CONNECTING: "sent_back",  # likewise
        CallState.TALKING: "sent_back",
        CallState.FALLBACK: "sent_back",
        CallState.LEAVING: "leaving_again",
        CallState.PROMISED: "ignore",
        CallState.CALLBACK: "person_left_behind",
        CallState.RESERVING: "person_left_behind",
        CallState.DIALLING: "ignore",
        CallState.CHECKING: "ignore",
    },
    inputs.KeyPressed: {
        CallState.WAITING: "key_pressed",
        CallState.OFFERED: "key_pressed",
        CallState.CONNECTING: "key_pressed",
        CallState.TALKING: "key_pressed",
        CallState.FALLBACK: "key_pressed",
        CallState.LEAVING: "key_pressed",
        CallState.PROMISED: "key_pressed",
        CallState.CALLBACK: "ignore",
        CallState.RESERVING: "ignore",
        CallState.DIALLING: "ignore",
        CallState.CHECKING: "key_pressed",
    },
    inputs.PairJoined: {
        CallState.WAITING: "ignore",
        CallState.OFFERED: "ignore",
        CallState.CONNECTING: "joined",
        CallState.TALKING: "ignore",
        CallState.FALLBACK: "ignore",
        CallState.LEAVING: "ignore",
        CallState.PROMISED: "ignore",
        CallState.CALLBACK: "ignore",
        CallState.RESERVING: "ignore",
        CallState.DIALLING: "ignore",
        CallState.CHECKING: "ignore",
    },
    inputs.PairReturned: {
        CallState.WAITING: "serve_again",
        CallState.OFFERED: "serve_again",
        CallState.CONNECTING: "returned",
        CallState.TALKING: "returned",  # the bridge failed after it was seen: the caller is alive, so back to the queue
        CallState.FALLBACK: "take_back",
        CallState.LEAVING: "leaving_again",
        CallState.PROMISED: "serve_promised",
        CallState.CALLBACK: "person_left_behind",
        CallState.RESERVING: "person_left_behind",
        CallState.DIALLING: "ignore",
        CallState.CHECKING: "serve_checked",
    },
    inputs.AnnouncementFinished: {
        CallState.WAITING: "announcement_over",
        CallState.OFFERED: "announcement_over",
        CallState.CONNECTING: "ignore",
        CallState.TALKING: "ignore",
        CallState.FALLBACK: "ignore",
        CallState.LEAVING: "told",
        CallState.PROMISED: "promise_told",
        CallState.CALLBACK: "ignore",
        CallState.RESERVING: "ignore",
        CallState.DIALLING: "ignore",
        CallState.CHECKING: "announcement_over",
    },
    inputs.FallbackTook: {
        CallState.WAITING: "fallback",
        CallState.OFFERED: "fallback",
        CallState.CONNECTING: "fallback",
        CallState.TALKING: "fallback",
        CallState.FALLBACK: "ignore",
        CallState.LEAVING: "fallback",
        CallState.PROMISED: "fallback",
        CallState.CALLBACK: "fallback_stray",
        CallState.RESERVING: "fallback_stray",
        CallState.DIALLING: "fallback_reached",
        CallState.CHECKING: "fallback",
    },
    inputs.FallbackAnswered: {
        CallState.WAITING: "ignore",
        CallState.OFFERED: "ignore",
        CallState.CONNECTING: "ignore",
        CallState.TALKING: "ignore",
        CallState.FALLBACK: "fallback_answered",
        CallState.LEAVING: "ignore",
        CallState.PROMISED: "ignore",
        CallState.CALLBACK: "ignore",
        CallState.RESERVING: "ignore",
        CallState.DIALLING: "ignore",
        CallState.CHECKING: "ignore",
    },
    inputs.NumberKeyed: {
        CallState.WAITING: "number_keyed",
        CallState.OFFERED: "number_keyed",
        CallState.CONNECTING: "ignore",
        CallState.TALKING: "ignore",
        CallState.FALLBACK: "ignore",
        CallState.LEAVING: "ignore",
        CallState.PROMISED: "ignore",
        CallState.CALLBACK: "ignore",
        CallState.RESERVING: "ignore",
        CallState.DIALLING: "ignore",
        CallState.CHECKING: "ignore",
    },
    inputs.Durable: {
        CallState.WAITING: "ignore",
        CallState.OFFERED: "ignore",
        CallState.CONNECTING: "ignore",
        CallState.TALKING: "ignore",
        CallState.FALLBACK: "ignore",
        CallState.LEAVING: "ignore",
        CallState.PROMISED: "confirm",
        CallState.CALLBACK: "ignore",
        CallState.RESERVING: "ignore",
        CallState.DIALLING: "dial",
        CallState.CHECKING: "ignore",
    },
    inputs.PersonRang: {
        CallState.WAITING: "ignore",
        CallState.OFFERED: "ignore",
        CallState.CONNECTING: "ignore",
        CallState.TALKING: "ignore",
        CallState.FALLBACK: "ignore",
        CallState.LEAVING: "ignore",
        CallState.PROMISED: "ignore",
        CallState.CALLBACK: "ignore",
        CallState.RESERVING: "ignore",
        CallState.DIALLING: "person_rang",
        CallState.CHECKING: "ignore",
    },
    inputs.PersonAnswered: {
        CallState.WAITING: "ignore",
        CallState.OFFERED: "ignore",
        CallState.CONNECTING: "ignore",
        CallState.TALKING: "ignore",
        CallState.FALLBACK: "ignore",
        CallState.LEAVING: "ignore",
        CallState.PROMISED: "ignore",
        CallState.CALLBACK: "stray_person",
        CallState.RESERVING: "stray_person",
        CallState.DIALLING: "person_answered",
        CallState.CHECKING: "ignore",
    },
    inputs.PersonGone: {
        CallState.WAITING: "ignore",
        CallState.OFFERED: "ignore",
        CallState.CONNECTING: "ignore",
        CallState.TALKING: "ignore",
        CallState.FALLBACK: "ignore",
        CallState.LEAVING: "ignore",
        CallState.PROMISED: "ignore",
        CallState.CALLBACK: "person_silent",
        CallState.RESERVING: "ignore",
        CallState.DIALLING: "person_gone",
        CallState.CHECKING: "ignore",
    },
}

OFFER_REACTIONS: dict[type[inputs.Input], dict[OfferState, str]] = {
    inputs.PhoneRang: {
        OfferState.CALLING: "rang",
        OfferState.RINGING: "ignore",
        OfferState.ANSWERED: "ignore",
        OfferState.WITHDRAWN: "ignore",
    },
    inputs.PhoneAnswered: {
        OfferState.CALLING: "claim",
        OfferState.RINGING: "claim",
        OfferState.ANSWERED: "ignore",
        OfferState.WITHDRAWN: "claim_late",  # the first answer seen wins, if nobody has the call yet
    },
    inputs.PhoneGone: {
        OfferState.CALLING: "refused",
        OfferState.RINGING: "refused",
        OfferState.ANSWERED: "agent_left",
        OfferState.WITHDRAWN: "offer_over",
    },
    inputs.HoldChanged: {
        OfferState.CALLING: "ignore",
        OfferState.RINGING: "ignore",
        OfferState.ANSWERED: "hold",
        OfferState.WITHDRAWN: "ignore",
    },
}


TASK_OFFER_REACTIONS: dict[type[inputs.Input], dict[TaskOfferState, str]] = {
    inputs.PhoneRang: {
        TaskOfferState.CALLING: "task_rang",
        TaskOfferState.RINGING: "task_ignore",
        TaskOfferState.CHOOSING: "task_ignore",
        TaskOfferState.DIALLING: "task_ignore",
        TaskOfferState.TALKING: "task_ignore",
        TaskOfferState.WITHDRAWN: "task_ignore",
    },
    inputs.PhoneAnswered: {
        TaskOfferState.CALLING: "task_answered",
        TaskOfferState.RINGING: "task_answered",
        TaskOfferState.CHOOSING: "task_ignore",
        TaskOfferState.DIALLING: "task_ignore",
        TaskOfferState.TALKING: "task_ignore",
        TaskOfferState.WITHDRAWN: "task_answered_late",  # whatever it was withdrawn for comes first
    },
    inputs.PhoneGone: {
        TaskOfferState.CALLING: "task_refused",
        TaskOfferState.RINGING: "task_refused",
        TaskOfferState.CHOOSING: "task_declined",
        TaskOfferState.DIALLING: "task_agent_left",
        TaskOfferState.TALKING: "task_agent_left",
        TaskOfferState.WITHDRAWN: "task_offer_over",
    },
    inputs.HoldChanged: dict.fromkeys(
        (state for state in TaskOfferState if state is not TaskOfferState.ENDED), "task_ignore"
    ),
    inputs.AgentKeyed: {
        TaskOfferState.CALLING: "task_ignore",
        TaskOfferState.RINGING: "task_ignore",
        TaskOfferState.CHOOSING: "task_keyed",
        TaskOfferState.DIALLING: "task_ignore",
        TaskOfferState.TALKING: "task_ignore",
        TaskOfferState.WITHDRAWN: "task_ignore",
    },
    inputs.Durable: {
        TaskOfferState.CALLING: "task_ignore",
        TaskOfferState.RINGING: "task_ignore",
        TaskOfferState.CHOOSING: "task_ignore",
        TaskOfferState.DIALLING: "task_dial",
        TaskOfferState.TALKING: "task_ignore",
        TaskOfferState.WITHDRAWN: "task_ignore",
    },
    inputs.TaskPersonAnswered: {
        TaskOfferState.CALLING: "task_ignore",
        TaskOfferState.RINGING: "task_ignore",
        TaskOfferState.CHOOSING: "task_ignore",
        TaskOfferState.DIALLING: "task_reached",
        TaskOfferState.TALKING: "task_ignore",
        TaskOfferState.WITHDRAWN: "task_reached_late",
    },
    inputs.TaskPersonGone: {
        TaskOfferState.CALLING: "task_ignore",
        TaskOfferState.RINGING: "task_ignore",
        TaskOfferState.CHOOSING: "task_ignore",
        TaskOfferState.DIALLING: "task_person_gone",
        TaskOfferState.TALKING: "task_person_gone",
        TaskOfferState.WITHDRAWN: "task_ignore",
    },
}


@dataclass(frozen=True, slots=True)
class Deadline:
    """A row: `seconds` (attribute of the policy or of the thing itself) after `since` (attribute of the thing), `then`.

    No deadline while `since` is None.
    """

    since: str
    seconds: str
    then: str


OFFER_DEADLINES: dict[OfferState, Deadline] = {
    OfferState.CALLING: Deadline("made_at", "unreachable_seconds", "unreachable"),
    OfferState.RINGING: Deadline("made_at", "ring_seconds", "missed"),
    OfferState.WITHDRAWN: Deadline("withdrawn_at", "withdrawal_seconds", "never_ended"),
    OfferState.ANSWERED: Deadline("released_at", "withdrawal_seconds", "left_behind"),  # None while they talk
}
TASK_OFFER_DEADLINES: dict[TaskOfferState, Deadline] = {
    TaskOfferState.CALLING: Deadline("made_at", "unreachable_seconds", "task_unreachable"),
    TaskOfferState.RINGING: Deadline("made_at", "ring_seconds", "task_missed"),
    TaskOfferState.CHOOSING: Deadline("answered_at", "choose_seconds", "task_no_key"),
    TaskOfferState.DIALLING: Deadline(
        "undialled_since", "durable_seconds", "task_not_on_disk"
    ),  # then it is the switch's
    TaskOfferState.WITHDRAWN: Deadline("withdrawn_at", "withdrawal_seconds", "task_never_ended"),
}
CALL_DEADLINES: dict[CallState, Deadline] = {
    CallState.WAITING: Deadline("announcing_since", "announcement_seconds", "announcement_lost"),
    CallState.OFFERED: Deadline("announcing_since", "announcement_seconds", "announcement_lost"),
    CallState.CONNECTING: Deadline("claimed_at", "connect_seconds", "inspect"),
    CallState.TALKING: Deadline("lost_agent_at", "connect_seconds", "inspect"),  # None while both are there
    CallState.LEAVING: Deadline("told_at", "leaving_seconds", "let_go"),  # None while it is being diverted
    CallState.PROMISED: Deadline("promised_since", "promise_seconds", "promise_overdue"),
    CallState.DIALLING: Deadline("attempt_since", "attempt_seconds", "attempt_overdue"),
    CallState.CHECKING: Deadline("picked_up_at", "check_seconds", "no_key"),
}
