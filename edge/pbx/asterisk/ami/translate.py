"""AMI: events to sightings, effects to actions. Pure.

Whatever is global comes from here and not from ARI: phones, queue members, hang-ups, bridges, the fallback.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation

from panoramisk.message import Message

from edge.core.effects import DialForTask, NotePlace
from edge.core.inputs import (
    AssistAsked,
    CallAnnotated,
    CallbackOfferingSet,
    CallbackOrdered,
    CallRefused,
    EquipmentChecked,
    IncidentSet,
    Order,
    PersonJudged,
    SupervisionSeen,
    SupervisorInvited,
    TaskAsked,
    TaskAssigned,
    TaskClosed,
    TaskSpokenWith,
    WrapUpCoded,
)
from edge.core.model import CheckVerdict, Line, PhoneState, Supervision, Tier, TransferKind
from edge.core.promise import AttemptOutcome, TaskAttemptOutcome, TaskOutcome
from edge.pbx.asterisk import identity
from edge.pbx.asterisk.ami.wire import text
from edge.pbx.asterisk.ari.translate import milliseconds, queue_priority
from edge.pbx.asterisk.sightings import (
    AssistedMarked,
    Bridged,
    Caller,
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
    LegEnded,
    MemberSeen,
    PassedOn,
    PersonRinging,
    ReadyAsked,
    Sighting,
    TaskRung,
    Told,
)

QUEUE_PREFIX = "edge-"
UNSPECIFIED = "unspecified"
"""The reason where a queue member is paused without one."""

KEYS = frozenset("0123456789*#")
RINGING = ("RINGING", "PROGRESS")
"""DialState's words for 180 and for 183."""

TASK_OUTCOMES = {
    "ANSWER": TaskAttemptOutcome.SPOKEN,
    "NOANSWER": TaskAttemptOutcome.NO_ANSWER,
    "BUSY": TaskAttemptOutcome.BUSY,
    "CANCEL": TaskAttemptOutcome.AGENT_LEFT,
}
"""By DIALSTATUS; every other is a failure of the network or the number."""

Action = tuple[str, Mapping[str, str]]

PHONE_STATES = {
    "NOT_INUSE": PhoneState.IDLE,
    "INUSE": PhoneState.BUSY,
    "BUSY": PhoneState.BUSY,
    "ONHOLD": PhoneState.BUSY,
    "RINGINUSE": PhoneState.BUSY,
    "RINGING": PhoneState.RINGING,
    "UNAVAILABLE": PhoneState.UNAVAILABLE,
    "INVALID": PhoneState.UNAVAILABLE,
}


# --- effects to actions; a channel may be named by its unique id ---


def renew(leg_id: str, seconds: float) -> Action:
    """Put the dead-man off. Not blocked by a playback, and no event comes of it (ASTERISK.md 1.10, 8)."""
    return "Setvar", {"Channel": leg_id, "Variable": "TIMEOUT(absolute)", "Value": f"{seconds:g}"}


def connect(caller_leg: str, offer_id: str) -> list[Action]:
    """Hand the pair over to the dialplan's own Bridge()."""
    return [
        _set(caller_leg, "EDGE_AGENT_CHANNEL", identity.leg_of_offer(offer_id)),
        _redirect(caller_leg, "edge-connect", "connect"),
    ]


def send_to_fallback(caller_leg: str, line: str) -> list[Action]:
    """Hand the caller to the dialplan's own queue."""
    return [_set(caller_leg, "EDGE_WHY", "sent"), _redirect(caller_leg, f"edge-line-{line}", "fallback")]


def divert(caller_leg: str, phone: str) -> Action:
    """Have the dialplan ring this phone for the caller, who comes back to us when it does not answer."""
    return _redirect(caller_leg, "edge-divert", f"phone-{phone}")


def note_place(caller_leg: str, place: NotePlace) -> list[Action]:
    """Write down where the switch's own queue would serve the caller."""
    return [
        _set(caller_leg, "EDGE_QUEUE", place.queue),
        _set(caller_leg, "QUEUE_PRIO", str(queue_priority(place.place_utc_us))),
        _set(caller_leg, "CHANNEL(language)", place.language),
        _set(caller_leg, "EDGE_UPGRADED", "1" if place.upgraded else ""),
    ]


def note_person(agent_leg: str, task: DialForTask) -> list[Action]:
    """Write down on the agent's leg whom the dialplan is to ring for them."""
    variables = {
        "EDGE_PERSON": task.number,
        "EDGE_TRUNK": task.trunk,
        "EDGE_SHOWN": task.show_number,
        "EDGE_RING": str(round(task.ring_seconds)),
    }
    return [_set(agent_leg, variable, value) for variable, value in variables.items()]


def name_again(caller_leg: str, call_id: str, line: Line, joined_utc_us: int | None) -> list[Action]:
    """Write on a caller's leg whose it is, after a transfer has put another leg's variables there."""
    variables = {
        "EDGE_CALL": call_id,
        "EDGE_LINE": line.name,
        "EDGE_TIER": "999" if line.tier is Tier.EMERGENCY else "101",
    }
    if joined_utc_us is not None:
        variables["EDGE_JOINED"] = str(joined_utc_us // 1000)
    return [_set(caller_leg, variable, value) for variable, value in variables.items()]


def _set(leg_id: str, variable: str, value: str) -> Action:
    return "Setvar", {"Channel": leg_id, "Variable": variable, "Value": value}


def _redirect(leg_id: str, context: str, extension: str) -> Action:
    return "Redirect", {"Channel": leg_id, "Context": context, "Exten": extension, "Priority": "1"}


# --- events to sightings ---


def sighting(message: Message) -> Sighting | None:
    """What an event shows, or None: nothing to us."""
    read = READERS.get(text(message, "Event"))
    return read(message) if read is not None else None


def stamp(message: Message) -> int | None:
    """The event's time in microseconds of UTC (timestampevents=yes in manager.conf)."""
    try:
        return int(Decimal(text(message, "Timestamp")) * 1_000_000)
    except (InvalidOperation, ValueError, OverflowError):
        return None


def _cause(message: Message, key: str) -> int:
    value = text(message, key)
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 4 else 0


def _hang_up(message: Message) -> Sighting:
    return LegEnded(
        leg_id=text(message, "Uniqueid"),
        cause=_cause(message, "Cause"),
        status=_cause(message, "TechCause"),
        words=text(message, "Cause-txt"),
        switch_utc_us=stamp(message),
        answered=text(message, "ChannelStateDesc") == "Up",
    )


def _dial_state(message: Message) -> Sighting | None:
    """How far the dialling of a leg has come. Of a person who is called back only; ARI tells of the phones that we ring."""
    leg_id = text(message, "DestUniqueid")
    if identity.attempt_of_leg(leg_id) is None or text(message, "DialStatus") not in RINGING:
        return None
    return PersonRinging(leg_id=leg_id, switch_utc_us=stamp(message))


def _hang_up_request(message: Message) -> Sighting:
    return HangUpAsked(leg_id=text(message, "Uniqueid"))


def _bridge_enter(message: Message) -> Sighting:
    return Bridged(
        leg_id=text(message, "Uniqueid"),
        bridge_id=text(message, "BridgeUniqueid"),
        switch_utc_us=stamp(message),
    )


def _bridge_leave(message: Message) -> Sighting:
    return Bridged(leg_id=text(message, "Uniqueid"), bridge_id=None, switch_utc_us=stamp(message))


def _hold(message: Message) -> Sighting:
    return Held(leg_id=text(message, "Uniqueid"), held=True, switch_utc_us=stamp(message))


def _unhold(message: Message) -> Sighting:
    return Held(leg_id=text(message, "Uniqueid"), held=False, switch_utc_us=stamp(message))


def member(message: Message) -> MemberSeen | None:
    """A member of one of our queues; the list of QueueStatus names its fields differently from the events."""
    queue = text(message, "Queue")
    if not queue.startswith(QUEUE_PREFIX):
        return None
    paused = text(message, "Paused") == "1"
    reason = identity.clean(text(message, "PausedReason") or text(message, "Reason")) or UNSPECIFIED
    return MemberSeen(
        queue=queue,
        agent=text(message, "MemberName") or text(message, "Name"),
        interface=text(message, "Interface") or text(message, "Location"),
        not_ready_reason=reason if paused else None,
        switch_utc_us=stamp(message),
    )


def _member_removed(message: Message) -> MemberSeen | None:
    seen = member(message)
    if seen is None:
        return None
    return MemberSeen(
        queue=seen.queue,
        agent=seen.agent,
        interface=None,
        not_ready_reason=None,
        switch_utc_us=seen.switch_utc_us,
    )


def _device(message: Message) -> Sighting:
    return DeviceSeen(
        interface=text(message, "Device"),
        state=PHONE_STATES.get(text(message, "State"), PhoneState.UNKNOWN),
        switch_utc_us=stamp(message),
    )


def _user_event(message: Message) -> Sighting | None:
    read = _USER_EVENTS.get(text(message, "UserEvent"))
    return read(message) if read is not None else None


def _ready(message: Message) -> Sighting:
    return ReadyAsked(agent=text(message, "Agent"), switch_utc_us=stamp(message))


def _fallback(message: Message) -> Sighting | None:
    if not text(message, "Call"):
        return None
    return FallbackEntered(
        call_id=text(message, "Call"),
        leg_id=text(message, "Uniqueid"),
        line=text(message, "Line"),
        why=identity.clean(text(message, "Why")) or "entry",
        caller=_caller(message),
        joined_utc_us=milliseconds(text(message, "Joined")),
        switch_utc_us=stamp(message),
    )


def _caller(message: Message) -> Caller:
    name = text(message, "CallerIDName")
    return identity.caller(
        text(message, "CallerIDNum"), "" if name == "<unknown>" else name, text(message, "Presentation")
    )


def _agent_connect(message: Message) -> Sighting | None:
    if not text(message, "Queue").startswith(QUEUE_PREFIX):
        return None
    return FallbackConnected(
        leg_id=text(message, "Uniqueid"), agent=text(message, "MemberName"), switch_utc_us=stamp(message)
    )


def _taken(message: Message) -> Sighting:
    """Whoever answered in the fallback without being a member of a queue: supervisor, buddy, test phone."""
    return FallbackConnected(
        leg_id=text(message, "Leg"), agent=text(message, "By"), switch_utc_us=stamp(message)
    )


def _key(message: Message) -> Sighting | None:
    """A key that was pressed, not one that is sent to the party. It is never logged: it may be part of a PIN."""
    key = text(message, "Digit")
    if text(message, "Direction") != "Received" or key not in KEYS:
        return None
    return KeyHeard(leg_id=text(message, "Uniqueid"), key=key, switch_utc_us=stamp(message))


def _key_taken(message: Message) -> Sighting | None:
    key = text(message, "Key")
    if key not in KEYS:
        return None
    return KeyTaken(call_id=text(message, "Call"), key=key, switch_utc_us=stamp(message))


# --- transfers ---


def _blind_transfer(message: Message) -> Sighting | None:
    if text(message, "Result") != "Success":
        return None
    return PassedOn(
        kind=TransferKind.BLIND,
        transferer_leg_ids=(text(message, "TransfererUniqueid"),),
        leg_ids=(text(message, "TransfereeUniqueid"),),
        target=identity.dialled(text(message, "Extension")),
        interfaces={},
        switch_utc_us=stamp(message),
    )


def _attended_transfer(message: Message) -> Sighting | None:
    """Which of the handler's two legs talks with our caller depends on which of them asked for the transfer.

    Into our application (DestApp Stasis) the websocket tells of it, with the leg that was replaced.
    """
    if text(message, "Result") != "Success" or text(message, "DestApp") in identity.OURS:
        return None
    parties = [text(message, f"{party}Uniqueid") for party in ("Transferee", "TransferTarget")]
    return PassedOn(
        kind=TransferKind.ATTENDED,
        transferer_leg_ids=(
            text(message, "OrigTransfererUniqueid"),
            text(message, "SecondTransfererUniqueid"),
        ),
        leg_ids=tuple(leg_id for leg_id in parties if leg_id),
        target=identity.dialled(text(message, "SecondTransfererExten")),
        interfaces={
            text(message, f"{party}Uniqueid"): identity.interface_of_leg(text(message, f"{party}Channel"))
            for party in ("Transferee", "TransferTarget")
        },
        into_queue=text(message, "DestApp") == "Queue",
        switch_utc_us=stamp(message),
    )


def _colleague(message: Message) -> Sighting:
    """Said by the dialplan on the colleague's own leg."""
    return ColleagueTook(
        call_id=text(message, "Call"),
        caller_leg_id=text(message, "Leg"),
        leg_id=text(message, "Uniqueid"),
        agent=text(message, "Agent"),
        phone=text(message, "Phone"),
        switch_utc_us=stamp(message),
    )


def _consulted(message: Message) -> Sighting:
    """Said by the dialplan on the colleague's own leg."""
    return Consulted(
        from_phone=text(message, "From"),
        from_leg_id=text(message, "Leg"),
        agent=text(message, "Agent"),
        phone=text(message, "Phone"),
        leg_id=text(message, "Uniqueid"),
        switch_utc_us=stamp(message),
    )


def _diverted(message: Message) -> Sighting:
    return DivertedTook(leg_id=text(message, "Leg"), switch_utc_us=stamp(message))


# --- what the dialplan and the command line say in our own words ---


def _refused(message: Message) -> Sighting | None:
    if not text(message, "Call"):
        return None
    caller = _caller(message)
    return Told(
        said=CallRefused(
            call_id=text(message, "Call"),
            leg_id=text(message, "Uniqueid"),
            line=text(message, "Line"),
            why=_word(message, "Why"),
            caller_number=caller.number,
            caller_name=caller.name,
            number_withheld=caller.withheld,
            switch_utc_us=stamp(message),
        )
    )


def _wrap_up(message: Message) -> Sighting:
    return Told(
        said=WrapUpCoded(
            agent=text(message, "Agent"), code=_word(message, "Code"), switch_utc_us=stamp(message)
        )
    )


def _assist(message: Message) -> Sighting:
    return Told(said=AssistAsked(agent=text(message, "Agent"), switch_utc_us=stamp(message)))


def _assisted(message: Message) -> Sighting:
    return AssistedMarked(
        call_id=text(message, "Call") or None,
        agent=text(message, "Agent") or None,
        by=_word(message, "By"),
        switch_utc_us=stamp(message),
    )


def _spy(message: Message) -> Sighting | None:
    mode, state = text(message, "Mode"), text(message, "State")
    if mode not in set(Supervision) or state not in ("began", "ended"):
        return None
    return Told(
        said=SupervisionSeen(
            supervisor=text(message, "Supervisor"),
            agent=text(message, "Agent"),
            mode=Supervision(mode),
            began=state == "began",
            switch_utc_us=stamp(message),
        )
    )


def _invite(message: Message) -> Sighting:
    return Told(
        said=SupervisorInvited(
            supervisor=text(message, "Supervisor"), agent=text(message, "Agent"), switch_utc_us=stamp(message)
        )
    )


def _incident(message: Message) -> Sighting | None:
    active = {"yes": True, "no": False}.get(text(message, "Active"))
    if active is None:
        return None
    return Told(said=IncidentSet(active=active, by=_word(message, "By"), switch_utc_us=stamp(message)))


def _checked(message: Message) -> Sighting | None:
    probe, verdict = _word(message, "Probe"), text(message, "Verdict")
    if not probe or verdict not in set(CheckVerdict):
        return None
    return Told(
        said=EquipmentChecked(
            probe=probe,
            verdict=CheckVerdict(verdict),
            figure=_word(message, "Figure"),
            by=_word(message, "By"),
            switch_utc_us=stamp(message),
        )
    )


def _note(message: Message) -> Sighting | None:
    call_id, kind = text(message, "Call"), _word(message, "Kind")
    if not (call_id and kind):
        return None
    return Told(
        said=CallAnnotated(
            call_id=call_id,
            kind=kind,
            value=_word(message, "Value"),
            state=_word(message, "State"),
            by=_word(message, "By"),
            switch_utc_us=stamp(message),
        )
    )


def _callback(message: Message) -> Sighting | None:
    order, call_id, agent = text(message, "Order"), text(message, "Call"), text(message, "Agent")
    if order not in set(Order) or not (call_id or agent):
        return None
    return Told(
        said=CallbackOrdered(
            order=Order(order),
            by=_word(message, "By"),
            why=_word(message, "Why"),
            call_id=call_id or None,
            agent=agent or None,
            queue=_word(message, "Queue") or None,
            priority_class=_word(message, "Class") or None,
            switch_utc_us=stamp(message),
        )
    )


def _offering(message: Message) -> Sighting | None:
    active = {"yes": True, "no": False}.get(text(message, "Active"))
    if active is None:
        return None
    return Told(
        said=CallbackOfferingSet(active=active, by=_word(message, "By"), switch_utc_us=stamp(message))
    )


def _judged(message: Message) -> Sighting | None:
    outcome, call_id, agent = text(message, "Outcome"), text(message, "Call"), text(message, "Agent")
    if outcome != AttemptOutcome.MACHINE or not (call_id or agent):
        return None
    return Told(
        said=PersonJudged(
            outcome=AttemptOutcome.MACHINE,
            by=_word(message, "By"),
            call_id=call_id or None,
            agent=agent or None,
            switch_utc_us=stamp(message),
        )
    )


def _task(message: Message) -> Sighting | None:
    task_id, by, at = text(message, "Task"), _word(message, "By"), stamp(message)
    outcome, to, agent = text(message, "Outcome"), _word(message, "To"), text(message, "Agent")
    match text(message, "Order"):
        case "next" if agent:
            return Told(said=TaskAsked(agent=agent, switch_utc_us=at))
        case "spoken" if agent:
            return Told(said=TaskSpokenWith(agent=agent, switch_utc_us=at))
    if not (task_id and by):
        return None
    match text(message, "Order"):
        case "assign" if to:
            return Told(said=TaskAssigned(task_id=task_id, to=to, by=by, switch_utc_us=at))
        case "close" if outcome in set(TaskOutcome):
            return Told(
                said=TaskClosed(
                    task_id=task_id,
                    by=by,
                    outcome=TaskOutcome(outcome),
                    note=_word(message, "Note"),
                    switch_utc_us=at,
                )
            )
    return None


def _task_rung(message: Message) -> Sighting:
    """Said on the agent's own leg when the dialling is over."""
    status = text(message, "Status")
    return TaskRung(
        leg_id=text(message, "Uniqueid"),
        outcome=TASK_OUTCOMES.get(status, TaskAttemptOutcome.FAILED),
        words=f"{identity.clean(status)} {_cause(message, 'Cause')}",
        switch_utc_us=stamp(message),
    )


def _word(message: Message, key: str) -> str:
    return identity.clean(text(message, key))


_USER_EVENTS: Mapping[str, Callable[[Message], Sighting | None]] = {
    "EdgeFallback": _fallback,
    "EdgeTaken": _taken,
    "EdgeKey": _key_taken,
    "EdgeColleague": _colleague,
    "EdgeConsult": _consulted,
    "EdgeDiverted": _diverted,
    "EdgeRefused": _refused,
    "EdgeReady": _ready,
    "EdgeWrapUp": _wrap_up,
    "EdgeAssist": _assist,
    "EdgeAssisted": _assisted,
    "EdgeSpy": _spy,
    "EdgeInvite": _invite,
    "EdgeIncident": _incident,
    "EdgeChecked": _checked,
    "EdgeNote": _note,
    "EdgeCallback": _callback,
    "EdgeOffering": _offering,
    "EdgeJudged": _judged,
    "EdgeTask": _task,
    "EdgeTaskRung": _task_rung,
}
READERS: Mapping[str, Callable[[Message], Sighting | None]] = {
    "Hangup": _hang_up,
    "DialState": _dial_state,
    "HangupRequest": _hang_up_request,
    "BridgeEnter": _bridge_enter,
    "BridgeLeave": _bridge_leave,
    "Hold": _hold,
    "Unhold": _unhold,
    "QueueMemberAdded": member,
    "QueueMemberPause": member,
    "QueueMember": member,
    "QueueMemberRemoved": _member_removed,
    "DeviceStateChange": _device,
    "UserEvent": _user_event,
    "AgentConnect": _agent_connect,
    "DTMFEnd": _key,
    "BlindTransfer": _blind_transfer,
    "AttendedTransfer": _attended_transfer,
}
