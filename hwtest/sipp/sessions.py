"""What became of each session request, read off the wire by the definitions of RFC 6076. Pure.

Times come from the records' stamps, never from SIPp. A retransmission resets no time (§3).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from hwtest.capture import Record
from hwtest.useragent.authorization import CHALLENGES

REDIRECTED = range(300, 400)
EFFECTIVE = frozenset({200, 480, 486, 600, 603})
"""SEER counts them (§4.7): the network did its part, whatever the person did."""
PHONE = frozenset({480, 486, 600, 603})
"""The phone that is called: switched off, busy, or it refuses."""
INEFFECTIVE = frozenset({408, 500, 503, 504})
"""ISA counts them (§4.8). A request without any final answer is a 408 (RFC 3261 §8.1.3.1)."""
NO_AUDIO = 488
"""Asterisk says so, too, when it has no audio ports left for an offer that it took a moment before."""
TIMED_OUT = 408
_NANOSECONDS = 1e9


@dataclass(slots=True)
class Session:
    """One session request, from the first INVITE of its Call-ID."""

    call_id: str
    number: str
    """Whom the caller says to be."""
    invited_ns: int
    indicated_ns: int | None = None
    """First provisional answer that is no 100, or the final one."""
    final_ns: int | None = None
    status: int | None = None
    """Of the final answer, challenges left out; None: there was none."""
    released_ns: int | None = None
    """First BYE, whoever sent it."""
    release_answered_ns: int | None = None
    repeated: int = 0
    """Messages that were sent again."""
    _seen: set[tuple[str, ...]] = field(default_factory=set, repr=False)

    @property
    def succeeded(self) -> bool:
        """Whether it was answered with 200."""
        return self.status == 200

    @property
    def delay_seconds(self) -> float | None:
        """Session request delay (§4.3); None where nothing came."""
        return None if self.indicated_ns is None else (self.indicated_ns - self.invited_ns) / _NANOSECONDS

    @property
    def answer_seconds(self) -> float | None:
        """From INVITE to its 200."""
        if not self.succeeded or self.final_ns is None:
            return None
        return (self.final_ns - self.invited_ns) / _NANOSECONDS

    def take(self, record: Record) -> None:
        """One more message of this Call-ID."""
        if record.identity in self._seen:
            self.repeated += not record.may_repeat
            return
        self._seen.add(record.identity)
        if record.label == "BYE" and self.released_ns is None:
            self.released_ns = record.stamp_ns
        if not record.label.isdecimal():
            return
        status = int(record.label)
        if record.method == "BYE" and status >= 200 and self.release_answered_ns is None:
            self.release_answered_ns = record.stamp_ns
        if record.method != "INVITE" or status in CHALLENGES or self.status is not None:
            return
        if status > 100 and self.indicated_ns is None:
            self.indicated_ns = record.stamp_ns
        if status >= 200:
            self.status, self.final_ns = status, record.stamp_ns


def sessions(records: Iterable[Record], caller_ports: Collection[int]) -> list[Session]:
    """Every session request that came from these ports, in order of its first INVITE."""
    found = dict[str, Session]()
    for record in sorted(records, key=lambda record: record.stamp_ns):
        session = found.get(record.call_id)
        if session is None:
            if record.label != "INVITE" or record.in_dialog or record.source_port not in caller_ports:
                continue
            session = found[record.call_id] = Session(record.call_id, record.from_user, record.stamp_ns)
        session.take(record)
    return list(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Session requests by what became of them; each failed one is in exactly one of the last four."""

    requests: int
    redirected: int
    successful: int
    effective: int
    ineffective: tuple[Session, ...]
    exhausted: tuple[Session, ...]
    """488 although the same offer was taken from others: the switch has run out of audio ports."""
    phone: tuple[Session, ...]
    refused: tuple[Session, ...]

    @property
    def failed(self) -> tuple[Session, ...]:
        """All of them."""
        return (*self.ineffective, *self.exhausted, *self.phone, *self.refused)

    @property
    def not_redirected(self) -> int:
        """Denominator of SER and SEER."""
        return self.requests - self.redirected


def tally(found: Sequence[Session]) -> Tally:
    """By the final status of each. All of them are to have offered the same audio."""
    statuses = [(session, session.status or TIMED_OUT) for session in found]
    failed = [(session, status) for session, status in statuses if status >= 400]
    taken = any(session.succeeded for session in found)
    known = PHONE | INEFFECTIVE | ({NO_AUDIO} if taken else frozenset())
    return Tally(
        requests=len(found),
        redirected=sum(status in REDIRECTED for _, status in statuses),
        successful=sum(session.succeeded for session in found),
        effective=sum(status in EFFECTIVE for _, status in statuses),
        ineffective=tuple(session for session, status in failed if status in INEFFECTIVE),
        exhausted=tuple(session for session, status in failed if taken and status == NO_AUDIO),
        phone=tuple(session for session, status in failed if status in PHONE),
        refused=tuple(session for session, status in failed if status not in known),
    )


def statuses(found: Iterable[Session]) -> str:
    """How many had which, in words."""
    counted = dict[str, int]()
    for session in found:
        word = "without an answer" if session.status is None else f"with {session.status}"
        counted[word] = counted.get(word, 0) + 1
    return ", ".join(f"{count} {word}" for word, count in sorted(counted.items())) or "none"
