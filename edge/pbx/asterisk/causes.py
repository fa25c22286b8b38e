"""Why a phone did not serve a call, and how an attempt to call somebody back ended, from what Asterisk says of the end of a leg.

Measured on 22.10.1 (docs/quirks/asterisk-clients.md): a dead host and an unanswered phone end with the same cause 19;
only a ring that was or was not seen tells them apart. The SIP status, where Asterisk gives it, says more than the cause.
"""

from __future__ import annotations

from edge.core.model import Refusal
from edge.core.promise import AttemptOutcome
from edge.pbx.asterisk.sightings import LegEnded

_BY_STATUS = {
    486: Refusal.BUSY,
    600: Refusal.BUSY,
    603: Refusal.REJECTED,
    403: Refusal.REJECTED,
    404: Refusal.UNREACHABLE,
    410: Refusal.UNREACHABLE,
    500: Refusal.UNREACHABLE,
    502: Refusal.UNREACHABLE,
    503: Refusal.UNREACHABLE,
    504: Refusal.UNREACHABLE,
}
_BY_CAUSE = {
    1: Refusal.UNREACHABLE,  # unallocated number
    3: Refusal.UNREACHABLE,  # no route
    16: Refusal.CLEARED,  # by somebody else, on the switch
    17: Refusal.BUSY,
    20: Refusal.UNREACHABLE,  # subscriber absent
    21: Refusal.REJECTED,
    27: Refusal.UNREACHABLE,  # destination out of order
    34: Refusal.UNREACHABLE,  # congestion
    38: Refusal.UNREACHABLE,  # network out of order
}
CUTS = frozenset({27, 38, 41, 42, 44, 47, 102})
"""Causes with which a leg ends that nobody hung up: the network or the switch failed (Q.850)."""
_SILENT_STATUS = (408, 480, 487)
_SILENT_CAUSES = (18, 19)


def refusal(end: LegEnded, *, rang: bool, cleared: bool) -> Refusal:
    """The reason in our words. `cleared`: the leg was answered, or we asked for its end."""
    if cleared:
        return Refusal.CLEARED
    if end.status in _BY_STATUS:
        return _BY_STATUS[end.status]
    if end.status in _SILENT_STATUS or end.cause in _SILENT_CAUSES:
        return Refusal.NO_ANSWER if rang else Refusal.UNREACHABLE
    return _BY_CAUSE.get(end.cause, Refusal.FAILED)


_OUTCOME_BY_STATUS = {
    403: AttemptOutcome.REJECTED,
    404: AttemptOutcome.INVALID,
    410: AttemptOutcome.INVALID,
    484: AttemptOutcome.INVALID,
    486: AttemptOutcome.BUSY,
    600: AttemptOutcome.BUSY,
    603: AttemptOutcome.REJECTED,
    604: AttemptOutcome.INVALID,
    607: AttemptOutcome.REJECTED,  # unwanted (RFC 8197)
    608: AttemptOutcome.REJECTED,  # by something in between (RFC 8688)
}
_OUTCOME_BY_CAUSE = {
    1: AttemptOutcome.INVALID,  # unallocated number
    17: AttemptOutcome.BUSY,
    21: AttemptOutcome.REJECTED,
    22: AttemptOutcome.INVALID,  # number changed
    28: AttemptOutcome.INVALID,  # number incomplete
}
_UNHEARD_CAUSES = (*_SILENT_CAUSES, 16, 20)  # 16: ended by us; 20: subscriber absent


def outcome(end: LegEnded, *, rang: bool) -> AttemptOutcome:
    """How an attempt ended whose person never was in our hands. A status that says nothing of them or their number is the
    network's; so is a silence, unless their phone rang: then they did not answer it, whoever ended the ringing."""
    if end.answered:
        return AttemptOutcome.HUNG_UP
    if end.status in _OUTCOME_BY_STATUS:
        return _OUTCOME_BY_STATUS[end.status]
    if end.status in _SILENT_STATUS or end.cause in _UNHEARD_CAUSES:
        return AttemptOutcome.NO_ANSWER if rang else AttemptOutcome.NETWORK
    return AttemptOutcome.NETWORK if end.status else _OUTCOME_BY_CAUSE.get(end.cause, AttemptOutcome.NETWORK)
