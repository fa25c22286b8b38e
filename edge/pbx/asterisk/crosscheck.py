"""Do both links and the engine tell the same of the callers? Pure: what was listed goes in, differences come out.

Events may be lost, and each of the three may be wrong by itself: a leg in our application that nobody serves is a caller in
silence, a call whose leg is gone keeps an agent. A difference counts when two looks some seconds apart show it, because
the lists are not taken at one moment.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from edge.pbx.asterisk import identity, snapshot
from edge.pbx.asterisk.book import Book
from edge.pbx.asterisk.snapshot import Channel

KNOWN_ONES = 1024
"""So many differences that reconciling did not mend are remembered; more than that is one fault, not many."""


class Kind(StrEnum):
    """What differs."""

    STRAY = "in our application, and unknown to us"
    GONE = "known to us, and on neither link"
    ARI_ALONE = "on ARI, and not on AMI"
    AMI_ALONE = "on AMI, and not on ARI"
    UNSERVED = "in our hands, and unknown to the engine"
    LEGLESS = "live for the engine, and without a leg"


@dataclass(frozen=True, slots=True)
class Difference:
    """`about`: a leg's or a call's id, never a number."""

    kind: Kind
    about: str


def compare(
    channels: Collection[Channel],
    ami_legs: Collection[str],
    book: Book,
    app: str,
    live_calls: Mapping[str, bool],
) -> set[Difference]:
    """Where the lists, the book and the engine differ now.

    `live_calls`: the engine's open calls, and whether their caller is on the line.
    """
    listed = {str(channel.get("id")): channel for channel in channels}
    ours = {call.leg_id: call for call in book.calls.values()}
    offered = {identity.leg_of_offer(offer_id): leg for offer_id, leg in book.offers.items()}
    found = {
        Difference(Kind.STRAY, leg_id)
        for leg_id, channel in listed.items()
        if leg_id not in ours and leg_id not in offered and _is_ours(channel, app)
    }
    for leg_id in (*ours, *(leg_id for leg_id, leg in offered.items() if leg.rang)):
        match leg_id in listed, leg_id in ami_legs:
            case False, False:
                found.add(Difference(Kind.GONE, leg_id))
            case True, False:
                found.add(Difference(Kind.ARI_ALONE, leg_id))
            case False, True:
                found.add(Difference(Kind.AMI_ALONE, leg_id))
    found |= {Difference(Kind.UNSERVED, call_id) for call_id in book.calls if call_id not in live_calls}
    found |= {
        Difference(Kind.LEGLESS, call_id)
        for call_id, is_on_the_line in live_calls.items()
        if is_on_the_line and call_id not in book.calls
    }
    return found


def _is_ours(channel: Channel, app: str) -> bool:
    return snapshot.agent_leg(channel) is not None or snapshot.held(channel, app) is not None


class CrossCheck:
    """Remembers the last look, so that only what lasts is told; and what reconciling did not mend, so that it is tried once."""

    def __init__(self) -> None:
        self._last: set[Difference] = set()
        self._tried: set[Difference] = set()
        self.count = 0
        """How many differences have lasted since the start."""

    def look(self, now: set[Difference]) -> tuple[set[Difference], set[Difference]]:
        """What has lasted and is new, and what of that reconciling may mend."""
        lasting = (now & self._last) - self._tried
        self._tried &= now
        self._last = now
        self.count += len(lasting)
        if len(self._tried) < KNOWN_ONES:
            self._tried |= lasting
            return lasting, lasting
        return lasting, set()

    def forget(self) -> None:
        """The next look is the first: the switch was out of sight."""
        self._last = set()
