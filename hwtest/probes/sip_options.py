"""Probe 8: does everybody who must speak SIP answer, and how fast?"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edge.errors import LinkError, RefusedError
from hwtest.addresses import is_own
from hwtest.lab.contract import Address
from hwtest.probes.contract import (
    Evidence,
    Explanation,
    Layer,
    Level,
    NotMeasuredError,
    Probe,
    Threshold,
    Verdict,
)
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.useragent import SipError, TraceEntry, UserAgent
from hwtest.useragent.dialog import Dialog, new_tag
from hwtest.useragent.wire import destination

COUNT = 20
PHONES = 10
"""So many of the registered phones are asked."""
GAP_SECONDS = 0.02
ANSWER_SECONDS = 2.0
GIVE_UP_AFTER = 2
"""Requests without any answer, one after the other, until the peer counts as silent."""
PATH_MS = 50.0
_OVERLOADED = 503
_NOT_UDP = re.compile(r"^\s*<?sips:|;\s*transport\s*=\s*(?!udp\b)", re.IGNORECASE)


@dataclass(slots=True)
class Peer:
    """What one of those who must speak SIP has answered."""

    name: str
    address: Address
    silence: str
    """Code of the finding when it does not answer."""
    sent: int = 0
    round_trips_ms: list[float] = field(default_factory=list)
    """Of requests that were answered at their first sending."""
    again_ms: list[float] = field(default_factory=list)
    """Of requests that were answered only when they had been sent again: from the first sending."""
    statuses: dict[str, int] = field(default_factory=dict)
    malformed: int = 0
    """Datagrams that were no SIP."""
    refuses: bool = False
    """Whether its host says that nobody listens."""
    call_ids: list[str] = field(default_factory=list)
    """Of requests that had no answer, or a late one."""

    @property
    def answers(self) -> int:
        """How many requests were answered, sooner or later."""
        return len(self.round_trips_ms) + len(self.again_ms)

    @property
    def lost(self) -> int:
        """Requests of which a message was lost. Where no answer ever comes before the second sending, all are late instead."""
        return self.sent - self.answers if self.late else self.sent - len(self.round_trips_ms)

    @property
    def late(self) -> bool:
        """Whether every answer takes longer than the time after which one asks again."""
        return bool(self.again_ms) and not self.round_trips_ms

    @property
    def delays_ms(self) -> list[float]:
        """What tells how long it takes: a request whose first copy was lost tells the length of T1 and nothing else."""
        return self.again_ms if self.late else self.round_trips_ms

    @property
    def where(self) -> str:
        """For a message."""
        return f"{self.name} ({self.address.host}:{self.address.port})"


async def measure(site: Site, sheet: Sheet) -> None:
    """Ask the switch, and then each trunk and some of the phones that are registered."""
    switch_runs = await _control_answers(site)
    peers = [Peer("switch", site.target.sip, SILENT)]
    peers += [Peer(f"trunk {name}", address, SILENT_TRUNK) for name, address in site.target.trunks.items()]
    peers += await _phones(site, sheet) if switch_runs else []
    await _ask(site, peers[0])
    # side by side, as each silent one takes seconds
    await asyncio.gather(*(_ask(site, peer) for peer in peers[1:]))
    beside_the_switch = is_own(site.target.sip.host)
    for peer in peers:
        _judge(sheet, peer, proven=switch_runs if peer.silence == SILENT else beside_the_switch)
    answered = [peer for peer in peers if peer.answers]
    if not answered and not switch_runs:
        raise NotMeasuredError(
            f"nobody answers SIP: {', '.join(peer.where for peer in peers)}",
            PROBE.explanation(SILENT).confirm,
        )
    judge(sheet, answered, _statuses(peers))


def judge(sheet: Sheet, answered: Sequence[Peer], note: str) -> None:
    """Those who answer: how soon, and how surely.

    What even the quickest of twenty answers takes is the way's: whoever is busy answers some of them at once. Where that alone
    is too long, the others' spread about it says nothing more.
    """
    far = [peer for peer in answered if _least(peer) > PATH_MS]
    round_trips = [each for peer in answered if peer not in far for each in peer.delays_ms]
    if round_trips or not far:
        sheet.distribution("round_trip", "ms", round_trips, uncertainty=0.1, note=note)
    if far:
        slow = [each for peer in far for each in peer.delays_ms]
        sheet.distribution("round_trip_of_the_far", "ms", slow, uncertainty=0.1, note=note)
    if answered:
        peer = max(answered, key=_least)
        words = f"{peer.where}: none of {peer.sent} OPTIONS was answered sooner than {_least(peer):.1f} ms"
        sheet.value(
            "least_round_trip",
            "ms",
            round(_least(peer), 3),
            n=peer.answers,
            uncertainty=0.1,
            note=peer.name,
            evidence=[Evidence(text=words)],
        )
    sheet.share(
        "lost",
        sum(peer.lost for peer in answered),
        sum(peer.sent for peer in answered),
        evidence=[_missing(peer) for peer in answered if peer.call_ids],
    )


def _least(peer: Peer) -> float:
    return min(peer.delays_ms)


async def _control_answers(site: Site) -> bool:
    """Whether the switch is there by its control link: then its silence on SIP is its own fault and no wrong address."""
    try:
        await (await site.control()).ask("Ping", {})
    except (NotMeasuredError, LinkError, RefusedError):
        return False
    return True


async def _phones(site: Site, sheet: Sheet) -> list[Peer]:
    """Some of those that are registered, chosen by the dice; the switch says where they are."""
    try:
        contacts = await (await site.control()).list("PJSIPShowContacts", {})
    except (LinkError, RefusedError) as error:
        sheet.note(f"No phone was asked. The switch says of those that are registered: {error}")
        return []
    found, otherwise = dict[str, Address](), 0
    for contact in contacts:
        at = _reached_by_udp(str(contact.get("Uri", "")))
        if at is None:
            otherwise += 1
        else:
            found[str(contact.get("Endpoint") or contact.get("Aor") or "")] = at
    if otherwise:
        sheet.note(f"{otherwise} contacts by TCP, TLS or WebSocket, or by a name or IPv6, were not asked.")
    own = {*site.target.trunks.values(), *([site.target.lab.callee] if site.target.lab else [])}
    phones = [Peer(f"phone {name}", at, SILENT_PHONE) for name, at in sorted(found.items()) if at not in own]
    if len(phones) > PHONES:
        sheet.note(f"{PHONES} of {len(phones)} registered phones were asked, chosen by the seed.")
        phones = site.dice.sample(phones, PHONES)
    return phones


def _reached_by_udp(uri: str) -> Address | None:
    """Where a contact is; None for one that would not hear us, whose silence would say nothing."""
    if _NOT_UDP.search(uri):
        return None
    try:
        host, port = destination(uri)
    except SipError:
        return None
    return Address(host=host, port=port)


async def _ask(site: Site, peer: Peer) -> None:
    """Twenty requests, each a transaction of its own; what comes late or not at all is remembered by its Call-ID."""
    async with site.user_agent() as agent:
        for number in range(1, COUNT + 1):
            site.say(f"{peer.name}: {number} of {COUNT}")
            status = await _ask_once(agent, peer)
            if status is not None:
                peer.statuses[status] = peer.statuses.get(status, 0) + 1
            elif not peer.answers and peer.sent >= GIVE_UP_AFTER:
                break
            await asyncio.sleep(GAP_SECONDS * site.dice.uniform(0.5, 1.5))  # not in step with anybody's timer
        peer.malformed = agent.malformed
    if not peer.answers:
        peer.refuses = await asyncio.to_thread(_refuses, peer.address)


async def _ask_once(agent: UserAgent, peer: Peer) -> str | None:
    """The status of one answer; None without one in time."""
    uri = f"sip:{peer.address.host}:{peer.address.port}"
    tag = new_tag()
    dialog = Dialog(
        call_id=f"{tag}-{peer.sent}",
        local=f"<sip:{agent.user}@{agent.address[0]}:{agent.address[1]}>;tag={tag}",
        local_tag=tag,
        remote=f"<{uri}>",
        target=uri,
        contact=agent.contact,
    )
    trace = list[TraceEntry]()
    request = dialog.request("OPTIONS", agent.new_via(), [("Accept", "application/sdp")])
    peer.sent += 1
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_SECONDS):
            await agent.exchange(request, uri, trace)
    sent = [entry for entry in trace if entry.direction == "sent"]
    answers = [entry for entry in trace if entry.direction == "received"]
    if len(sent) > 1 or not answers:
        peer.call_ids.append(dialog.call_id)
    if not answers:
        return None
    taken = peer.again_ms if len(sent) > 1 else peer.round_trips_ms
    taken.append((answers[0].monotonic_ns - sent[0].monotonic_ns) / 1e6)
    return answers[-1].label


def _judge(sheet: Sheet, peer: Peer, *, proven: bool) -> None:
    """`proven`: it is known to be there, so that its silence is a failure of its own."""
    if peer.malformed:
        words = f"{peer.where} sent {peer.malformed} datagrams that are no SIP"
        sheet.find(MALFORMED, Verdict.FAIL, words, Evidence(text=words))
    if not peer.answers:
        if peer.malformed:
            return  # it does answer: to say that nobody does would send people to the wrong place
        reason = "nothing listens there" if peer.refuses else "no answer at all"
        words = f"{peer.where}: {reason} to {peer.sent} OPTIONS"
        if not proven and peer.silence != SILENT:
            words += " from this machine; whether it answers the switch is told on the appliance itself"
        sheet.find(peer.silence, Verdict.FAIL if proven else Verdict.NOT_MEASURED, words, _missing(peer))
    elif overloaded := peer.statuses.get(str(_OVERLOADED), 0):
        words = f"{peer.where} answered {overloaded} of {peer.sent} with 503"
        sheet.find(REFUSES, Verdict.FAIL, words, Evidence(text=words))


def _missing(peer: Peer) -> Evidence:
    return Evidence(
        text=f"{peer.where}: OPTIONS without an answer within T1 (500 ms), "
        f"{len(peer.call_ids)} of {peer.sent}; their Call-IDs begin with {', '.join(peer.call_ids[:3])}",
        call_id=peer.call_ids[0] if peer.call_ids else None,
    )


def _refuses(address: Address) -> bool:
    """Whether the host itself says that nobody listens (ICMP port unreachable)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.3)
        try:
            asking.connect((address.host, address.port))
            asking.send(b"\r\n\r\n")  # a keep-alive of RFC 5626, which nobody has to answer
            asking.recv(1)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def _statuses(peers: list[Peer]) -> str:
    def told(statuses: Mapping[str, int]) -> str:
        return ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))

    return "; ".join(f"{peer.name}: {told(peer.statuses)}" for peer in peers if peer.statuses)


SILENT, MALFORMED, REFUSES = (f"sip.options.{word}" for word in ("silent", "malformed", "refuses"))
SILENT_TRUNK, SILENT_PHONE = "sip.options.trunk", "sip.options.phone"

PROBE = Probe(
    name="sip.options",
    number=8,
    title="Who speaks SIP answers at once",
    level=Level.SAFE,
    seconds=2.0,
    term="OPTIONS round trip (options request delay) and loss",
    reference="RFC 3261 §11 (OPTIONS), §17.1.2 (timers of its transaction)",
    meaning=(
        "An OPTIONS request is the smallest thing that SIP answers. If these are slow or lost, every call set-up is slower "
        "still, and nothing that is measured further up can be trusted."
    ),
    thresholds=(
        Threshold(
            figure="round_trip",
            statistic="p95",
            passes=50.0,
            warns=500.0,
            unit="ms",
            clause="50 own; 500 is T1 of RFC 3261 §17.1.2.1, after which every request is sent again",
            code="sip.options.slow",
        ),
        Threshold(
            figure="least_round_trip",
            statistic="value",
            passes=PATH_MS,
            warns=500.0,
            unit="ms",
            clause="own: the quickest of twenty tells the way there and back; ITU-T Y.1541 class 0 has 100 ms one way",
            code="sip.options.far",
        ),
        Threshold(
            figure="lost",
            statistic="value",
            passes=0.0,
            warns=5.0,
            unit="%",
            clause="own",
            code="sip.options.lost",
        ),
    ),
    explanations=(
        Explanation(
            code="sip.options.slow",
            layer=Layer.SWITCH,
            meaning="The switch or a trunk takes too long to answer the smallest request that there is.",
            caller_notices="A pause between dialling and ringing; a second or more when messages are sent again.",
            causes=(
                "the switch is overloaded: its task processors queue up",
                "name look-ups that time out on the switch's host, which cost each request some milliseconds to seconds",
                "a long or crowded network path",
                "this machine itself was busy: look at its load beside the figure, and at meter.timing",
            ),
            confirm="asterisk -rx 'core show taskprocessors'; then hwtest run net.path meter.timing",
            mend="Find what the switch waits for before anything else is tuned; a crowded path needs its own queue for SIP.",
        ),
        Explanation(
            code="sip.options.far",
            layer=Layer.NETWORK,
            meaning="Every answer takes long, the quickest too: it is the way there and back that takes the time.",
            caller_notices="A pause between dialling and ringing, the same with every call.",
            causes=(
                "a long way: a VPN, a satellite or a mobile network between this machine and the appliance",
                "a queue on the way that is always full",
                "the switch looks up a name for each request, and each look-up takes as long as the one before",
            ),
            confirm="hwtest run net.path host.config; run this on the appliance itself: there the way is no part of it",
            mend="Give SIP a nearer way, or a queue of its own; if it is as slow on the appliance itself, mend its name look-up.",
        ),
        Explanation(
            code="sip.options.lost",
            layer=Layer.NETWORK,
            meaning="Some requests were answered only when they had been sent again after half a second, or never.",
            caller_notices="Now and then a call rings half a second or more late, or is not put through at all.",
            causes=(
                "packet loss on the path, a duplex mismatch or a full queue on a switch port",
                "a firewall that limits the rate of SIP from one address",
                "the switch drops requests because it is overloaded",
            ),
            confirm="hwtest run net.path; on the appliance: nstat -az UdpRcvbufErrors UdpInErrors",
            mend="Mend the path (port errors, firewall's rate limit); if the appliance itself dropped them, look at its load.",
        ),
        Explanation(
            code="sip.options.silent",
            layer=Layer.SWITCH,
            meaning="Nobody answers SIP at this address.",
            caller_notices="No call gets through here at all.",
            causes=(
                "the switch does not run, or hangs",
                "it listens on another address or port",
                "a firewall between this machine and the appliance",
                "the address in the target's file is wrong",
            ),
            confirm="on the appliance: ss -lunp | grep 5060; asterisk -rx 'pjsip show transports'",
            mend="Start the switch (systemctl start asterisk) or correct the address; then run this again.",
        ),
        Explanation(
            code="sip.options.trunk",
            layer=Layer.TRUNK,
            meaning="A trunk does not answer SIP at the address that is given for it.",
            caller_notices="Callers who come by this trunk hear a tone of the network; calls out by it fail.",
            causes=(
                "the provider's side, its line or its session border controller is down",
                "a firewall on the way, or an address that the provider has changed",
                "the provider answers no OPTIONS from this machine: then ask from the appliance itself",
            ),
            confirm="asterisk -rx 'pjsip show contacts'; asterisk -rx 'pjsip qualify TRUNK'",
            mend="Ask the provider, with the time and our address; correct the address here if it has changed.",
        ),
        Explanation(
            code="sip.options.phone",
            layer=Layer.PHONE,
            meaning="A phone is registered with the switch and does not answer at the address that it gave.",
            caller_notices="Callers who are offered to this phone wait some seconds longer, until another is rung.",
            causes=(
                "the phone lost its power or its network and its registration has not run out yet",
                "its address changed, by DHCP or behind NAT",
                "a firewall lets only the switch speak to phones: then ask from the appliance itself",
            ),
            confirm="asterisk -rx 'pjsip show contacts'; ping the phone",
            mend="See to the phone and its cable; let the switch ask phones regularly (qualify_frequency of its AOR).",
        ),
        Explanation(
            code="sip.options.malformed",
            layer=Layer.SWITCH,
            meaning="Something answers on the SIP port, and what it says is not SIP (RFC 3261 §7).",
            caller_notices="Calls fail at random, or this is not the switch at all.",
            causes=(
                "another program has the port",
                "a SIP helper (ALG) in a router rewrites messages and breaks them",
                "the address in the target's file is not the switch's",
            ),
            confirm="on the appliance: ss -lunp | grep 5060; capture with tshark -f 'udp port 5060' -O sip",
            mend="Turn the router's SIP ALG off, or give the right address.",
        ),
        Explanation(
            code="sip.options.refuses",
            layer=Layer.SWITCH,
            meaning="The switch or the trunk answers, and says 503: it takes no calls now (RFC 3261 §21.5.4).",
            caller_notices="Callers hear a message or a tone of the network instead of the control room.",
            causes=(
                "the switch is shutting down or overloaded",
                "the trunk's provider refuses: account, capacity or maintenance",
            ),
            confirm="asterisk -rx 'core show channels count'; asterisk -rx 'core show taskprocessors'",
            mend="For a trunk: the provider. For the switch: see what it waits for, then restart it at a quiet moment.",
        ),
    ),
    measure=measure,
)
