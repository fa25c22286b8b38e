"""Hands: one effect, carried out on the links. What comes of it is seen by the book, as if the switch had told us.

Every request may have been carried out although its answer never came; none is repeated blindly.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

import structlog

from edge.core.effects import (
    Announce,
    AskAgent,
    ConnectPair,
    DialForTask,
    DialPerson,
    Divert,
    EndAttempt,
    HangUpCaller,
    Inspect,
    MakeOffer,
    NotePlace,
    RingForTask,
    SendToFallback,
    SetNotReady,
    TakeCharge,
)
from edge.core.model import Answer, Policy, Side, Tier
from edge.core.promise import TaskAttemptOutcome
from edge.errors import LinkError, RefusedError
from edge.pbx.asterisk import identity, snapshot
from edge.pbx.asterisk.ami import translate as ami
from edge.pbx.asterisk.ami.client import AmiClient, check
from edge.pbx.asterisk.ari import translate as ari
from edge.pbx.asterisk.ari.client import AriClient
from edge.pbx.asterisk.book import Book, CallerLeg, Place
from edge.pbx.asterisk.control import Member, pause
from edge.pbx.asterisk.settings import AsteriskSettings
from edge.pbx.asterisk.sightings import Bridged, CallMissing, LegEnded, PlaybackEnded, Sighting, TaskRung

log = structlog.get_logger(__name__)

NOT_FOUND = 404
GONE = ("No such channel", "Channel does not exist", "channel not up", "Channel not in Stasis")
"""AMI's and ARI's words for a caller who has just gone."""
CONFLICT = 409
ALLOCATION_FAILED = 500
UNREACHABLE = 503


class Hands:
    """The two links as they are now, and the book. `see` takes what we learn from an answer."""

    def __init__(
        self, settings: AsteriskSettings, policy: Policy, book: Book, see: Callable[[Sighting], None]
    ) -> None:
        self._settings = settings
        self._policy = policy
        self._book = book
        self._see = see
        self._ari: AriClient | None = None
        self._ami: AmiClient | None = None

    def take(self, ari: AriClient | None, ami: AmiClient | None) -> None:
        """Use these links from now on; None: there are none, and every effect is a LinkError."""
        self._ari, self._ami = ari, ami

    @property
    def _operations(self) -> AriClient:
        if self._ari is None:
            raise LinkError("ARI is not connected")
        return self._ari

    @property
    def _actions(self) -> AmiClient:
        if self._ami is None:
            raise LinkError("AMI is not connected")
        return self._ami

    # --- the caller ---

    def dead_man_seconds(self, line: str) -> float | None:
        """How long the line's callers stay without a renewal; None for a line that is not configured any more."""
        known = self._policy.lines.get(line)
        return None if known is None else known.dead_man_seconds

    def renew(self, leg_id: str, seconds: float, refused: Callable[[], None]) -> None:
        """Put the dead-man off, without waiting for the answer."""
        name, headers = ami.renew(leg_id, seconds)
        self._actions.tell(name, headers, refused)

    async def entertain(self, effect: TakeCharge) -> None:
        """Greeting, then music. A caller whom only an agent may answer hears ringing, which the dialplan sends."""
        line = self._policy.lines.get(effect.line)
        call = self._book.calls.get(effect.call_id)
        if line is None or call is None or line.answer is Answer.BY_AGENT or call.place is not Place.HELD:
            return
        if effect.greeting is None:
            await self.play_music(call)
        else:
            await self._say(call, effect.greeting, (effect.greeting,))

    async def announce(self, effect: Announce) -> None:
        """Say something to a waiting caller in place of what plays. Nothing is ever said to a 999: refused, as told at once."""
        call = self._book.calls.get(effect.call_id)
        if call is None:
            return
        line = self._policy.lines.get(call.line)
        if line is None or line.tier is Tier.EMERGENCY or call.place is not Place.HELD:
            if call.place is Place.HELD:
                log.error("announcement.refused", call=call.call_id, prompt=effect.prompt, why="an emergency")
            self._not_said(call, effect.prompt)
        else:
            await self.stop_announcement(effect.call_id)
            await self._say(call, effect.prompt, effect.sounds)

    async def _say(self, call: CallerLeg, prompt: str, sounds: tuple[str, ...]) -> None:
        call.playback = playback = identity.playback(call.call_id, prompt, secrets.token_hex(4))
        try:
            await self._operations.request(ari.play(playback, call.leg_id, self._settings.prompts, sounds))
        except RefusedError as refusal:
            _note("announcement.refused", refusal, call=call.call_id, prompt=prompt)
            self._playback_over(playback)

    def _not_said(self, call: CallerLeg, prompt: str) -> None:
        call.playback = identity.playback(call.call_id, prompt, "")
        self._playback_over(call.playback)

    def _playback_over(self, playback_id: str) -> None:
        self._see(PlaybackEnded(playback_id=playback_id, completed=False, switch_utc_us=None))

    async def stop_announcement(self, call_id: str) -> None:
        """End what is being said to a caller; it is told as ended at once, so that the next can be told apart from it."""
        call = self._book.calls.get(call_id)
        if call is None or call.playback is None:
            return
        playback = call.playback
        self._playback_over(playback)
        try:
            await self._operations.request(ari.stop(playback))
        except RefusedError as refusal:
            if refusal.status != NOT_FOUND:
                _note("announcement.not_stopped", refusal, call=call_id)

    async def resume(self, call: CallerLeg) -> None:
        """What a waiting caller hears when nothing is said to them: music, or ringing where they are not answered yet."""
        line = self._policy.lines.get(call.line)
        if call.playback is not None or call.place is not Place.HELD:
            return
        if line is not None and line.answer is Answer.BY_AGENT:
            try:
                await self._operations.request(ari.ring(call.leg_id))
            except RefusedError as refusal:
                _note("ringing.refused", refusal, call=call.call_id)
        else:
            await self.play_music(call)

    async def play_music(self, call: CallerLeg) -> None:
        """Music on hold; a caller who is gone or moved on needs none."""
        line = self._policy.lines.get(call.line)
        if line is None or line.answer is Answer.BY_AGENT or call.place is not Place.HELD:
            return
        try:
            await self._operations.request(ari.music(call.leg_id, line.music))
        except RefusedError as refusal:
            log.info("music.refused", call=call.call_id, refusal=str(refusal))

    async def connect(self, effect: ConnectPair) -> None:
        """Hand the pair over. Whatever goes wrong, the dialplan brings the caller back or the dead-man takes them."""
        call = self._book.hand_over(effect.call_id, effect.offer_id)
        if call is not None:
            await self._redirect(call, ami.connect(call.leg_id, effect.offer_id))

    async def note_place(self, effect: NotePlace) -> None:
        """Write the caller's place onto their leg, unless they wait in the switch's own queue: then it knows better."""
        call = self._book.calls.get(effect.call_id)
        if call is None or (call.place is Place.FALLBACK and not call.served):
            return
        call.upgraded |= effect.upgraded
        await self._act(call, ami.note_place(call.leg_id, effect), "place.not_noted")

    def take_back(self, call: CallerLeg) -> None:
        """A transfer has brought a caller back: their leg may carry another's name and clock. Without waiting for answers."""
        line = self._policy.lines.get(call.line)
        if line is None:
            return
        self.renew(call.leg_id, line.dead_man_seconds, _ignore)
        variables = ami.name_again(call.leg_id, call.call_id, line, call.joined_utc_us)
        for name, headers in variables:
            self._actions.tell(name, headers, _ignore)

    def releasable(self, call_id: str, what: str) -> CallerLeg | None:
        """The waiting caller if they may be let go. For a 999 and an upgraded 101 it is refused, whoever asks."""
        call = self._book.calls.get(call_id)
        if call is None or call.place is not Place.HELD:
            return None
        if not self._book.may_be_let_go(call):
            log.error("caller.not_let_go", call=call_id, asked=what, why="an emergency")
            return None
        return call

    async def hang_up_caller(self, effect: HangUpCaller) -> None:
        """Let a 101 caller go who has heard why."""
        call = self.releasable(effect.call_id, "hang up")
        if call is None:
            return
        call.hung_up_by = Side.SYSTEM
        try:
            await self._operations.request(ari.hang_up_leg(call.leg_id))
        except RefusedError as refusal:
            _note("hang_up.refused", refusal, call=call.call_id)

    async def divert(self, effect: Divert) -> None:
        """Send a 101 caller to another number. If that fails the dialplan brings them back."""
        call = self.releasable(effect.call_id, "divert")
        if call is not None:
            self._book.sent_away(call)
            await self._redirect(call, [ami.divert(call.leg_id, effect.phone)])

    async def send_to_fallback(self, effect: SendToFallback) -> None:
        """Hand the caller to the switch's own queue."""
        call = self._book.calls.get(effect.call_id)
        if call is not None and call.place is not Place.FALLBACK:
            await self._redirect(call, ami.send_to_fallback(call.leg_id, effect.line))

    async def _redirect(self, call: CallerLeg, actions: list[ami.Action]) -> None:
        await self._act(call, actions, "redirect.refused")

    async def _act(self, call: CallerLeg, actions: list[ami.Action], refused: str) -> None:
        try:
            for (name, _), answer in zip(actions, await self._actions.ask_all(actions), strict=True):
                check(name, answer)
        except RefusedError as refusal:
            _note(refused, refusal, call=call.call_id)

    async def inspect(self, effect: Inspect) -> None:
        """Look where a pair is; what is found is seen as if the switch had told it by itself."""
        call = self._book.calls.get(effect.call_id)
        try:
            channel = await self._operations.request(ari.channel(call.leg_id)) if call else None
        except RefusedError as refusal:
            if refusal.status != NOT_FOUND:
                raise
            channel = None
        if call is None or channel is None:
            self._see(CallMissing(call_id=effect.call_id))
        elif (returned := snapshot.returned(channel, self._settings.app)) is not None:
            self._see(returned)
        else:
            await self._inspect_bridges(call.leg_id, identity.leg_of_offer(effect.offer_id))

    async def _inspect_bridges(self, *pair: str) -> None:
        for bridge in await self._operations.request(ari.LIST_BRIDGES):
            if set(pair) <= set(bridge["channels"]):
                for leg_id in pair:
                    self._see(Bridged(leg_id=leg_id, bridge_id=bridge["id"], switch_utc_us=None))

    # --- the agent ---

    async def make_offer(self, effect: MakeOffer) -> None:
        """Ring the phone, unless the caller is gone. A call-back has none on the line."""
        call = self._book.calls.get(effect.call_id)
        phone = self._policy.phones.get(effect.phone)
        self._book.offer_made(effect.offer_id, identity.interface(phone) if phone is not None else "")
        if phone is None or (call is None and not effect.callback):
            self._never_rang(effect.offer_id, 0, "no such phone" if phone is None else "caller gone")
            return
        request = ari.originate(
            effect,
            phone,
            self._settings.app,
            call.leg_id if call is not None else None,
            agent=self._book.agent_at(phone.name),
            alert_info=self._settings.alert_info,
        )
        try:
            await self._operations.request(request)
        except RefusedError as refusal:
            self._refused(effect.offer_id, refusal)
        except LinkError:
            await self._find(effect.offer_id)

    def _refused(self, offer_id: str, refusal: RefusedError) -> None:
        if refusal.status == CONFLICT:
            return  # the leg exists: an earlier request of ours was carried out
        status = UNREACHABLE if refusal.status == ALLOCATION_FAILED else 0
        self._never_rang(offer_id, status, str(refusal))

    async def _find(self, offer_id: str) -> None:
        """The answer to an originate is lost: look whether its leg exists."""
        try:
            await self._operations.request(ari.channel(identity.leg_of_offer(offer_id)))
        except RefusedError as refusal:
            if refusal.status != NOT_FOUND:
                raise
            self._never_rang(offer_id, 0, "the switch did not answer and shows no such leg")

    def _never_rang(self, offer_id: str, status: int, words: str) -> None:
        self._see(_end(offer_id, status, words))

    async def withdraw_offer(self, offer_id: str, *, answered_elsewhere: bool = False) -> None:
        """End the leg unless its answer was seen: then the engine, which is about to hear of it, decides."""
        leg = self._book.offers.get(offer_id)
        if leg is not None and not leg.answered:
            await self.hang_up_offer(offer_id, answered_elsewhere=answered_elsewhere)

    async def hang_up_offer(self, offer_id: str, *, answered_elsewhere: bool = False) -> None:
        """End the leg, whatever it is doing. From here on its answer is not an answer."""
        if self._book.is_over(offer_id):
            return  # its end crossed the asking: nobody is to be kept waiting for it
        self._book.offer_ending(offer_id)
        try:
            await self._operations.request(ari.hang_up(offer_id, answered_elsewhere=answered_elsewhere))
        except RefusedError as refusal:
            if refusal.status != NOT_FOUND:
                raise
            self._see(_end(offer_id, 0, "no such leg"))

    # --- the agent who is offered a task ---

    async def ring_for_task(self, effect: RingForTask) -> None:
        """Ring the phone."""
        phone = self._policy.phones.get(effect.phone)
        self._book.offer_made(effect.offer_id, identity.interface(phone) if phone is not None else "")
        if phone is None:
            self._never_rang(effect.offer_id, 0, "no such phone")
            return
        agent = self._book.agent_at(phone.name)
        try:
            await self._operations.request(
                ari.originate_for_task(effect, phone, self._settings.app, agent=agent)
            )
        except RefusedError as refusal:
            self._refused(effect.offer_id, refusal)
        except LinkError:
            await self._find(effect.offer_id)

    async def ask_agent(self, effect: AskAgent) -> None:
        """Say what it is, in place of what is being said. The leg frees itself should we die before a key."""
        leg = self._book.offers.get(effect.offer_id)
        if leg is None or leg.away:
            return
        leg_id = identity.leg_of_offer(effect.offer_id)
        self.renew(leg_id, effect.seconds + ari.EXTRA_RING_SECONDS, _ignore)
        before, leg.playback = leg.playback, identity.asking(effect.offer_id, secrets.token_hex(4))
        try:
            if before is not None:
                await self._stop_asking(before)
            await self._operations.request(
                ari.play(leg.playback, leg_id, self._settings.prompts, effect.sounds)
            )
        except RefusedError as refusal:
            _note("asking.refused", refusal, offer=effect.offer_id)

    async def _stop_asking(self, playback: str) -> None:
        try:
            await self._operations.request(ari.stop(playback))
        except RefusedError as refusal:
            if refusal.status != NOT_FOUND:
                raise

    async def dial_for_task(self, effect: DialForTask) -> None:
        """Give the agent's leg to the dialplan, which rings the person for it: once, whatever becomes of the answers, because the
        switch refuses it of a leg that is not in our hands."""
        if not self._book.sent_to_ring(effect.offer_id):
            return
        leg_id = identity.leg_of_offer(effect.offer_id)
        if not identity.is_dialable(effect.number):
            self._not_rung(leg_id, "not a telephone number")
            return
        noted, leg = ami.note_person(leg_id, effect), self._book.offers.get(effect.offer_id)
        try:
            if (
                leg is not None and leg.playback is not None
            ):  # else the dialplan would have them when it is over
                await self._stop_asking(leg.playback)
            for (name, _), answer in zip(noted, await self._actions.ask_all(noted), strict=True):
                check(name, answer)
            await self._operations.request(ari.ring_person(effect.offer_id))
        except RefusedError as refusal:
            _note("task.not_dialled", refusal, offer=effect.offer_id)
            if refusal.status not in (CONFLICT, NOT_FOUND):
                self._not_rung(leg_id, f"the switch cannot: {refusal.status}")

    def _not_rung(self, leg_id: str, words: str) -> None:
        self._see(TaskRung(leg_id=leg_id, outcome=TaskAttemptOutcome.FAILED, words=words, switch_utc_us=None))

    async def give_up_dial(self, offer_id: str) -> None:
        """End the agent's leg while the person's phone rings; a talk is left alone, and is about to be told."""
        leg = self._book.offers.get(offer_id)
        if leg is not None and leg.bridge_id is None:
            await self.hang_up_offer(offer_id)

    # --- the person who is called back ---

    async def dial_person(self, effect: DialPerson) -> None:
        """Ring a person, unless this attempt has been made. The agent who waits on the line hears ringing, for as long."""
        if not self._book.attempt_made(effect.call_id, effect.attempt):
            return
        leg_id = identity.leg_of_attempt(effect.call_id, effect.attempt)
        if not identity.is_dialable(effect.number):
            self._see(_leg_end(leg_id, NOT_FOUND, "not a telephone number"))
            return
        unrung_seconds = self._policy.callbacks.unrung_seconds
        if effect.offer_id is not None:
            seconds = ari.attempt_seconds(effect, unrung_seconds) + ari.EXTRA_RING_SECONDS
            self.renew(identity.leg_of_offer(effect.offer_id), seconds, _ignore)
        try:
            await self._operations.request(ari.dial(effect, unrung_seconds))
        except RefusedError as refusal:
            if refusal.status != CONFLICT:  # else the leg exists: an earlier request of ours was carried out
                self._see(_leg_end(leg_id, UNREACHABLE, f"the switch cannot dial it: {refusal.status}"))
                return
        except LinkError:
            await self._find_person(leg_id)
        if effect.offer_id is not None:
            await self._let_hear_ringing(effect.offer_id)

    async def _let_hear_ringing(self, offer_id: str) -> None:
        try:
            await self._operations.request(ari.ring(identity.leg_of_offer(offer_id)))
        except RefusedError as refusal:
            _note("ringing.refused", refusal, offer=offer_id)

    async def _find_person(self, leg_id: str) -> None:
        """The answer to the dialling is lost: look whether the leg exists."""
        try:
            await self._operations.request(ari.channel(leg_id))
        except RefusedError as refusal:
            if refusal.status != NOT_FOUND:
                raise
            self._see(_leg_end(leg_id, UNREACHABLE, "the switch did not answer and shows no such leg"))

    async def end_attempt(self, effect: EndAttempt) -> None:
        """End the person's leg unless they were seen to answer. From here on an answer is none."""
        if not self._book.attempt_ending(effect.call_id, effect.attempt):
            return
        leg_id = identity.leg_of_attempt(effect.call_id, effect.attempt)
        try:
            await self._operations.request(ari.hang_up_leg(leg_id))
        except RefusedError as refusal:
            if refusal.status != NOT_FOUND:
                raise
            self._see(_leg_end(leg_id, 0, "no such leg"))

    async def set_not_ready(self, effect: SetNotReady) -> None:
        """Pause all memberships of the agent, as the code on their phone does; it is seen from the members' events."""
        memberships = self._book.memberships(effect.agent)
        members = [Member(queue, interface, effect.agent) for queue, interface in memberships]
        await pause(self._actions, members, effect.reason)


def _ignore() -> None:
    """The caller has just gone: their Hangup event says so."""


def _note(event: str, refusal: RefusedError, **about: str) -> None:
    """Log a refusal: that the caller has just hung up is everyday, anything else is worth a look."""
    gone = refusal.status == NOT_FOUND or any(words in str(refusal) for words in GONE)
    (log.info if gone else log.warning)(event, refusal=str(refusal), **about)


def _end(offer_id: str, status: int, words: str) -> LegEnded:
    """The end of an offer's leg that the switch will not tell us of."""
    return _leg_end(identity.leg_of_offer(offer_id), status, words)


def _leg_end(leg_id: str, status: int, words: str) -> LegEnded:
    return LegEnded(leg_id=leg_id, cause=0, status=status, words=words, switch_utc_us=None)
