"""Effects: what the engine asks for, imperative. Performed only after the facts that caused them are committed.

They are idempotent by their ids: an adapter may be asked twice and must act once.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.core.model import Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeOffer:
    """Ring this phone for this call, for at most `ring_seconds`. The rest is what the phone shows and a recorder needs."""

    offer_id: str
    call_id: str
    phone: str
    ring_seconds: float
    caller_number: str | None
    line: str
    tier: Tier
    priority_class: str
    waited_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawOffer:
    """End the agent's leg of this offer, unless it was answered in a way the engine has not heard of yet."""

    offer_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HangUpOffer:
    """End the agent's leg of this offer, whatever it is doing."""

    offer_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectPair:
    """Stop what the caller hears and join caller and agent in a native bridge that does not need us."""

    call_id: str
    offer_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeCharge:
    """Begin (or go on) to serve a waiting caller: renew the dead-man, play `greeting` once if given, then music."""

    call_id: str
    line: str
    greeting: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendToFallback:
    """Give the caller to the switch's own queue, at their place."""

    call_id: str
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspect:
    """Look where this call's legs are and post what is found: `PairJoined`, `PairReturned` or `CallerGone`."""

    call_id: str
    offer_id: str


Effect = MakeOffer | WithdrawOffer | HangUpOffer | ConnectPair | TakeCharge | SendToFallback | Inspect
