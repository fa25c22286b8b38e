"""Is the switch well? A write through both links, a cross-check of what they list, and the way out when it is not.

An Asterisk may answer every question and carry out nothing (asterisk/asterisk issue 2170: one held lock of ARI, and its
GET of channels goes on). So the probe writes: our application's own event filter, which takes the application's lock, and
a global variable over ARI that must be read back over AMI.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest

import structlog

from edge.core.model import Policy, Tier
from edge.errors import LinkError, RefusedError
from edge.pbx.asterisk.ami import translate as ami
from edge.pbx.asterisk.ami.client import AmiClient
from edge.pbx.asterisk.ami.wire import text
from edge.pbx.asterisk.ari import translate as ari
from edge.pbx.asterisk.ari.client import AriClient
from edge.pbx.asterisk.book import Book, CallerLeg, Place
from edge.pbx.asterisk.crosscheck import CrossCheck, Difference, compare
from edge.pbx.asterisk.entering import enters_queue, shares_place
from edge.pbx.asterisk.identity import call_of_offer, leg_of_offer

log = structlog.get_logger(__name__)

PROBES = 2
"""So many writes in a row without an answer are no accident (a machine that stood still fails one)."""

MUTE_SECONDS = 1.0
"""An error that comes sooner is a lost connection, which is begun anew; a switch that is unwell says nothing at all."""

LiveCalls = Callable[[], Mapping[str, bool]]


class SwitchUnwellError(LinkError):
    """The switch is there and does not do what it is asked: callers were sent to its own queue, and a new process is due."""


class Guard:
    """Looks after one switch over the lives of its links."""

    def __init__(self, policy: Policy, book: Book, app: str, live_calls: LiveCalls) -> None:
        """`live_calls`: the engine's open calls, and whether their caller is on the line."""
        self._policy = policy
        self._book = book
        self._app = app
        self._live_calls = live_calls
        self._checks = CrossCheck()

    @property
    def differences(self) -> int:
        """How many lasting differences were found since the start."""
        return self._checks.count

    async def probe(self, ari_link: AriClient, ami_link: AmiClient) -> None:
        """Write and read back. Raises SwitchUnwellError when that was in vain `PROBES` times in a row, LinkError when the
        connection was refused or lost."""
        failure = ""
        for _ in range(PROBES):
            began, nonce = time.monotonic(), secrets.token_hex(8)
            try:
                await self._write(ari_link, nonce)
            except RefusedError as refusal:
                log.warning(
                    "probe.refused", refusal=str(refusal)
                )  # an account's rights, not the switch's health
                return
            except LinkError as lost:
                if time.monotonic() - began < MUTE_SECONDS:
                    raise
                failure = str(lost)
                log.warning("probe.failed", failure=failure)
            else:
                if await self._reads(ami_link, nonce):
                    return
                failure = "what ARI says it wrote is not what AMI reads"
                log.warning("probe.failed", failure=failure)
        raise SwitchUnwellError(f"{PROBES} writes in a row were not carried out: {failure}")

    async def _write(self, ari_link: AriClient, nonce: str) -> None:
        await ari_link.filter_events()
        await ari_link.request(ari.set_global(ari.PROBE, nonce))

    async def _reads(self, ami_link: AmiClient, nonce: str) -> bool:
        """Whether it was written. Silence here is AMI's own trouble, which its pings find too: a lost link."""
        try:
            answer = await ami_link.ask("Getvar", {"Variable": ari.PROBE})
        except RefusedError as refusal:
            log.warning("probe.refused", refusal=str(refusal))
            return True
        return text(answer, "Value") == nonce

    async def cross_check(self, ari_link: AriClient, ami_link: AmiClient) -> None:
        """Compare the lists of both links, the book and the engine. Raises LinkError where looking again may mend it:
        reconnecting, reconciling and adopting is one way for every kind of trouble."""
        channels = await ari_link.request(ari.LIST_CHANNELS)
        listed = await ami_link.list("CoreShowChannels", {})
        legs = {text(each, "Uniqueid") for each in listed}
        found = compare(channels, legs, self._book, self._app, self._live_calls())
        lasting, mendable = self._checks.look(found)
        for difference in lasting:
            _tell(difference)
        if mendable:
            self._checks.forget()
            raise LinkError(f"links and engine differ in {len(mendable)} points: looking again")

    async def send_away(self, ami_link: AmiClient, *, emergencies_alone: bool = False) -> None:
        """Hand every waiting caller to the switch's own queue over AMI, emergencies first and then as they joined, and free
        the phones that ring for them. Conversations are not touched. What fails is left to the dead-man."""
        waiting = [call for call in self._book.calls.values() if call.place is Place.HELD]
        ringing = [offer_id for offer_id, leg in self._book.offers.items() if not leg.answered]
        if emergencies_alone:
            waiting = [call for call in waiting if self._is_urgent(call)]
            urgent = {call.call_id for call in waiting}
            ringing = [offer_id for offer_id in ringing if call_of_offer(offer_id) in urgent]
        if waiting or not emergencies_alone:
            (log.info if emergencies_alone else log.error)("callers.sent_away", waiting=len(waiting))
        with contextlib.suppress(LinkError):
            for offer_id in ringing:
                with contextlib.suppress(RefusedError):
                    await ami_link.ask("Hangup", {"Channel": leg_of_offer(offer_id)})
            await self._move(sorted(waiting, key=self._order), ami_link)

    async def _move(self, callers: Sequence[CallerLeg], ami_link: AmiClient) -> None:
        """In this order, in which they come into the queue too; a switch that is too slow for that is not waited for again."""
        is_quick = True
        for call, following in zip_longest(callers, callers[1:]):
            await ami_link.ask_all(ami.send_to_fallback(call.leg_id, call.line))
            if following is not None and is_quick and self._shares_place(call, following):
                is_quick = await enters_queue(ami_link, call.leg_id)

    def _order(self, call: CallerLeg) -> tuple[bool, int, str]:
        return not self._is_urgent(call), call.joined_utc_us or 0, call.call_id

    def _shares_place(self, call: CallerLeg, other: CallerLeg) -> bool:
        joined_ms, other_ms = ((leg.joined_utc_us or 0) // 1000 for leg in (call, other))
        return self._is_urgent(call) == self._is_urgent(other) and shares_place(joined_ms, other_ms)

    def _is_urgent(self, call: CallerLeg) -> bool:
        line = self._policy.lines.get(call.line)
        return call.upgraded or (line is not None and line.tier is Tier.EMERGENCY)


def _tell(difference: Difference) -> None:
    log.warning("crosscheck.differs", what=difference.kind.value, about=difference.about)
