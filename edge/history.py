"""What the ledger knows of a caller's number: calls and given-up calls of the last 30 days, folded entry by entry.

Test calls do not count, and neither does a withheld or unusable number: two callers without a number have nothing in common.
Memory is bounded: the `MOST_NUMBERS` numbers that called last, of each the last `MOST_OF_ONE_NUMBER` calls and as many that
were given up. That is 100 MB if all of them called that often, and some 20 MB for numbers that called once or twice.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from dataclasses import dataclass, field

from edge.core.facts import CallArrived, CallEnded, Entry
from edge.core.model import MICROSECONDS, CallerKnowledge, CallOutcome
from edge.directory import Listing, normalise

DAY_US = 24 * 3600 * MICROSECONDS
MONTH_US = 30 * DAY_US
MOST_NUMBERS = 50_000
MOST_OF_ONE_NUMBER = 100
MOST_OPEN = 10_000
"""Calls whose end was not seen: those of a daemon that was killed, say."""
KINDS = (CallArrived, CallEnded)


def _times() -> array[int]:
    return array("q")


@dataclass(slots=True)
class _Past:
    """The calls of one number, as microseconds of UTC, in the order of the ledger."""

    calls: array[int] = field(default_factory=_times)
    abandons: array[int] = field(default_factory=_times)


class History:
    """Calls by normalised number."""

    def __init__(self) -> None:
        self._past: OrderedDict[str, _Past] = (
            OrderedDict()
        )  # finds its first at once, which a dict with gaps does not
        """Whoever called last stands last."""
        self._open: dict[str, str] = {}
        """Call id to number, until its end."""

    def add(self, entry: Entry) -> None:
        """Fold one committed entry. Kinds other than `KINDS` change nothing."""
        match entry.fact:
            case CallArrived() as fact:
                self._arrived(fact, entry.at.utc_us)
            case CallEnded() as fact:
                self._ended(fact, entry.at.utc_us)

    def __len__(self) -> int:
        """How many numbers are remembered."""
        return len(self._past)

    def lookup(
        self,
        number: str | None,
        now_utc_us: int,
        recent_minutes: float = 0.0,
        listing: Listing | None = None,
    ) -> CallerKnowledge | None:
        """What is known of the caller who is just arriving, with what the number list says; None where nothing is.

        `recent_minutes`: those of the policy's `Repeat`, 0 for none. A withheld number is to be given as None.
        """
        past = self._past.get(normalise(number) or "") if number else None
        past = past or _Past()
        known = CallerKnowledge(
            calls_in_day=_since(past.calls, now_utc_us - DAY_US),
            calls_in_month=_since(past.calls, now_utc_us - MONTH_US),
            abandons_in_month=_since(past.abandons, now_utc_us - MONTH_US),
            recent_abandons=_since(past.abandons, now_utc_us - round(recent_minutes * 60 * MICROSECONDS)),
            listing=listing.kind if listing else None,
            listed_class=listing.priority_class if listing else None,
            assisted=listing.assisted if listing else False,
            language=listing.language if listing else None,
        )
        return None if known == CallerKnowledge() else known

    def _arrived(self, fact: CallArrived, utc_us: int) -> None:
        if fact.test or fact.consultation_of or fact.number_withheld or not fact.caller_number:
            return
        if (number := normalise(fact.caller_number)) is None:
            return
        past = self._past.setdefault(number, _Past())
        self._past.move_to_end(number)
        past.calls.append(utc_us)
        del past.calls[:-MOST_OF_ONE_NUMBER]
        self._forget_before(utc_us - MONTH_US)
        self._open[fact.call_id] = number
        if len(self._open) > MOST_OPEN:
            del self._open[next(iter(self._open))]

    def _ended(self, fact: CallEnded, utc_us: int) -> None:
        past = self._past.get(self._open.pop(fact.call_id, ""))
        if past is not None and fact.outcome is CallOutcome.ABANDONED:
            past.abandons.append(utc_us)
            del past.abandons[:-MOST_OF_ONE_NUMBER]

    def _forget_before(self, utc_us: int) -> None:
        """Drops the numbers whose last call is too old, and the oldest of too many."""
        while self._past:
            number, past = next(iter(self._past.items()))
            if past.calls[-1] >= utc_us and len(self._past) <= MOST_NUMBERS:
                return
            del self._past[number]


def _since(times: array[int], utc_us: int) -> int:
    return sum(at >= utc_us for at in times)  # a clock that was set leaves them out of order
