"""Callers who accept a call-back: each key is pressed when the record says that it is asked for.

The record is read, the switch is not asked: what a caller does is what a person with a phone can do.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.core.facts import (
    CallArrived,
    CallbackAsked,
    CallbackConfirmed,
    CallbackOffered,
    CallbackRevoked,
    CallbackWaits,
    CallEnded,
    Entry,
    Fact,
)
from edge.core.promise import Asked
from edge.ledger.store import SqlReader
from hwtest.useragent import CallState, OutgoingCall

YES, RATHER_WAIT = "1", "*"


@dataclass(slots=True)
class _Caller:
    number: str
    call: OutgoingCall


class Accepting:
    """Callers who were told to accept, from the offer to the confirmation. `key` accepts the offer."""

    def __init__(self, reader: SqlReader, key: str) -> None:
        self._reader = reader
        self._key = key
        self._after = reader.last_sequence()
        self._willing: dict[str, OutgoingCall] = {}
        """By number, until their call is in the record."""
        self._calls: dict[str, _Caller] = {}
        """By the call's id, while they wait on the line."""
        self.asked: set[str] = set()
        """Numbers of those who have accepted and been asked something."""
        self.promised: dict[str, str] = {}
        """Whom the confirmation is being said to, or was: call id by number."""
        self.waiting: set[str] = set()
        """Numbers of those who are off the line, and whose call-back has waited since."""
        self.declined: list[str] = []
        """Numbers of those who cannot be called on them, and rather wait."""

    def watch(self, number: str, call: OutgoingCall) -> None:
        """This caller accepts when a call-back is offered. Their leg must be one that sends."""
        self._willing[number] = call

    def follow(self) -> list[OutgoingCall]:
        """Read on in the record and press what is asked for; those whose promise has been confirmed since the last time."""
        confirmed = list[OutgoingCall]()
        while page := self._reader.read(self._after):
            for entry in page:
                self._after = entry.sequence
                if (call := self._take(entry)) is not None:
                    confirmed.append(call)
        return confirmed

    def _take(self, entry: Entry) -> OutgoingCall | None:
        fact = entry.fact
        if isinstance(fact, CallArrived):
            number = fact.caller_number or ""
            if (call := self._willing.pop(number, None)) is not None:
                self._calls[fact.call_id] = _Caller(number, call)
            return None
        caller = self._calls.get(getattr(fact, "call_id", ""))
        return None if caller is None else self._go_on(fact, caller)

    def _go_on(self, fact: Fact, caller: _Caller) -> OutgoingCall | None:
        match fact:
            case CallbackOffered():
                self._press(caller, self._key)
            case CallbackAsked(asked=Asked.KEY):
                self.asked.add(caller.number)
                self._press(caller, RATHER_WAIT)
                self.declined.append(caller.number)
            case CallbackAsked():
                self.asked.add(caller.number)
                self._press(caller, YES)
            case CallbackConfirmed(call_id=call_id):
                self.promised[caller.number] = call_id
                return caller.call
            case CallbackRevoked():
                self.promised.pop(caller.number, None)
            case CallbackWaits():
                self.waiting.add(caller.number)
            case CallEnded(call_id=call_id):
                del self._calls[call_id]
            case _:
                pass
        return None

    def _press(self, caller: _Caller, key: str) -> None:
        if caller.call.state is CallState.ANSWERED:
            caller.call.leg.send_digits(key)
