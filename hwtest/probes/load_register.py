"""Probe 34: after a power cut every phone comes back at once. Does each get in?"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from hwtest.capture import Record
from hwtest.lab.contract import Address
from hwtest.probes.contract import (
    Evidence,
    Explanation,
    Layer,
    Level,
    Need,
    NotMeasuredError,
    Probe,
    Threshold,
)
from hwtest.probes.sheet import Sheet
from hwtest.sipp.traffic import REGISTER, Outcome, Traffic, load, program
from hwtest.site import Site, whole
from hwtest.target import Phone
from hwtest.useragent.authorization import CHALLENGES

TIMES = 2
"""Registrations per phone and wave: twice the size of the site."""
LEAST = 50
"""A small site's phones come again until so many have registered, so that one failure in fifty is seen."""
EXPIRES_SECONDS = 60
PATIENCE_SECONDS = 32.0
"""Timer F (RFC 3261 §17.1.2.2)."""
_FORBIDDEN = frozenset({403, 404})
_NANOSECONDS_PER_MS = 1e6
_SEPARATES = re.compile(r"[;,\[\]\"\s]")


@dataclass(slots=True)
class Registration:
    """One phone's way in, from its first REGISTER to the answer that is no challenge (RFC 6076 §4.1)."""

    call_id: str
    user: str
    asked_ns: int
    challenges: int = 0
    status: int | None = None
    final_ns: int | None = None
    repeated: int = 0
    _seen: set[tuple[str, ...]] = field(default_factory=set, repr=False)

    @property
    def delay_ms(self) -> float | None:
        """Registration request delay: success only."""
        if self.status != 200 or self.final_ns is None:
            return None
        return (self.final_ns - self.asked_ns) / _NANOSECONDS_PER_MS

    @property
    def refused(self) -> bool:
        """Whether the registrar did not accept who it says to be: a second challenge, 403 or 404."""
        return self.status in _FORBIDDEN or (self.status is None and self.challenges > 1)

    def take(self, record: Record) -> None:
        """One more message."""
        if record.identity in self._seen:
            self.repeated += 1
            return
        self._seen.add(record.identity)
        if record.label.isdecimal() and (status := int(record.label)) >= 200:
            if status in CHALLENGES:
                self.challenges += 1
            elif self.status is None:
                self.status, self.final_ns = status, record.stamp_ns


def registrations(records: Iterable[Record], ports: Collection[int]) -> list[Registration]:
    """Every registration that came from these ports, in order."""
    found = dict[str, Registration]()
    for record in sorted(records, key=lambda record: record.stamp_ns):
        if record.method != "REGISTER" or not {record.source_port, record.destination_port} & set(ports):
            continue
        if record.call_id not in found:
            if record.label != "REGISTER":
                continue
            found[record.call_id] = Registration(record.call_id, record.from_user, record.stamp_ns)
        found[record.call_id].take(record)
    return list(found.values())


async def measure(site: Site, sheet: Sheet) -> None:
    """All phones at once, twice the site's size; afterwards every one of these registrations is withdrawn."""
    phones = [site.target.phones[name] for name in sorted(site.target.phones)]
    if not phones:
        raise NotMeasuredError(
            f"{site.target.name} names no phones", f"give [phone.NAME] in {site.target.source}"
        )
    _refuse_what_cannot_be_said(phones)
    await program(site)
    registrar = _registrar(phones)
    wave = phones * TIMES
    while len(wave) < LEAST:
        wave += phones
    async with site.capture(registrar) as capture:
        site.say(f"{len(wave)} registrations of {len(phones)} phones at once")
        async with load(site, sheet, "register", _traffic(wave, registrar, EXPIRES_SECONDS)) as running:
            outcome = await running.ended()
        taken = await capture.take()
    # From the same port: the same contacts, or nothing is withdrawn.
    withdrawal = replace(_traffic(phones, registrar, 0), port=running.port)
    async with load(site, sheet, "unregister", withdrawal) as leaving:
        await leaving.ended()
    if outcome.trouble:
        raise NotMeasuredError(outcome.trouble, "hwtest run meter.timing")
    records = whole(taken)
    sheet.note(
        f"{len(wave)} registrations of {len(phones)} phones within a second; whatever was registered as one of these phones "
        "before is not any more and registers again by itself"
    )
    judge(sheet, registrations(records, {running.port}), outcome)


def _refuse_what_cannot_be_said(phones: Sequence[Phone]) -> None:
    """A password that SIPp would read otherwise would be taken for a wrong one, and the phone be blamed."""
    for phone in phones:
        if _SEPARATES.search(phone.user + phone.password):
            raise NotMeasuredError(
                f"the user or the password of phone {phone.user} has a sign that SIPp's injection file cannot hold: "
                '; [ ] " , or a blank',
                "give these phones of a lab other passwords, in the switch and in the target's file",
            )


def _registrar(phones: Sequence[Phone]) -> Address:
    places = sorted({phone.registrar for phone in phones})
    if len(places) > 1:
        raise NotMeasuredError(
            f"the phones register at {len(places)} registrars, and this probe loads one",
            "name one registrar for all phones of this target",
        )
    host, _, port = places[0].rpartition(":")
    return Address(host=host, port=int(port))


def _traffic(wave: Sequence[Phone], registrar: Address, expires_seconds: int) -> Traffic:
    return Traffic(
        scenario=REGISTER,
        calls=len(wave),
        rate=float(len(wave)),  # all of them in one second
        patience_seconds=PATIENCE_SECONDS,
        limit_seconds=PATIENCE_SECONDS + 8,
        lines=[
            f"{phone.user};[authentication username={phone.user} password={phone.password}]" for phone in wave
        ],
        keys={"expires": str(expires_seconds)},
        target=registrar,
    )


def judge(sheet: Sheet, found: Sequence[Registration], outcome: Outcome) -> None:
    """Write down who got in, how fast, and who did not."""
    good = [one for one in found if one.status == 200]
    refused = [one for one in found if one.refused]
    lost = [one for one in found if one.status != 200 and not one.refused]
    sheet.distribution(
        "registration_request_delay",
        "ms",
        [delay for one in good if (delay := one.delay_ms) is not None],
        uncertainty=0.1,
        note="first REGISTER to 200, the round with the challenge included; success only",
    )
    sheet.share(
        "ira",
        len(lost),
        len(found),
        note=(
            "challenges (401, 407) count neither as attempts nor as failures (RFC 6076 §4.2); 403 and 404, which count there, "
            "stand under refused"
        ),
        evidence=[_evidence(one) for one in lost[:3]],
    )
    sheet.share("refused", len(refused), len(found), evidence=[_evidence(one) for one in refused[:3]])
    sheet.value("registered", "phones", float(len(good)), n=len(found))
    sheet.value(
        "repeated",
        "messages",
        float(sum(one.repeated for one in found)),
        note=f"sent again; SIPp counted {outcome.counters.failed} failed and {outcome.unfinished} unfinished",
    )
    if outcome.asked is not None and len(found) < outcome.asked:
        raise NotMeasuredError(
            f"SIPp offered {len(found)} of {outcome.asked} registrations", "hwtest run meter.timing"
        )


def _evidence(one: Registration) -> Evidence:
    if one.refused:
        ended = f"was refused: {one.challenges} challenges, {one.status or 'no other answer'}"
    else:
        ended = "had no answer" if one.status is None else f"ended with {one.status}"
    return Evidence(text=f"a registration of {one.user} {ended}", call_id=one.call_id)


PROBE = Probe(
    name="load.register",
    number=34,
    title="All phones come back at once after a power cut",
    level=Level.LAB,
    needs=frozenset({Need.SIPP, Need.CAPTURE}),
    seconds=10.0,
    term="registration request delay (RRD), ineffective registration attempts (IRA); avalanche restart",
    reference="RFC 6076 §4.1, §4.2; RFC 7501 §3.4.2",
    meaning=(
        "When the power comes back, every phone registers in the same second. A registrar that drops some of them leaves call "
        "handlers without a phone until the next try, which may be minutes later."
    ),
    thresholds=(
        Threshold(
            figure="registration_request_delay",
            statistic="p95",
            passes=200.0,
            warns=1000.0,
            unit="ms",
            clause="own",
            code="load.register.slow",
        ),
        Threshold(
            figure="ira",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="%",
            clause="own, of RFC 6076 §4.2: none at twice the site's size",
            code="load.register.ineffective",
        ),
        Threshold(
            figure="refused",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="%",
            clause="own: every phone that the target names has the right password",
            code="load.register.refused",
        ),
    ),
    explanations=(
        Explanation(
            code="load.register.slow",
            layer=Layer.SWITCH,
            meaning="The registrar takes long when all phones come at once.",
            caller_notices="For some seconds after a power cut calls ring nobody.",
            causes=(
                "each registration is written to a slow disk or database",
                "name look-ups that time out on the registrar's host",
                "the switch asks every phone whether it is there (qualify) at the same time",
            ),
            confirm="asterisk -rx 'core show taskprocessors' meanwhile; hwtest run sip.register for one phone alone",
            mend="Spread qualify_frequency, keep registrations off slow storage, give the host's name in /etc/hosts.",
        ),
        Explanation(
            code="load.register.ineffective",
            layer=Layer.SWITCH,
            meaning="Some phones got no answer, or the registrar said that it cannot (5xx).",
            caller_notices="Fewer call handlers than are at their desks, until the phones try again.",
            causes=(
                "the registrar is overloaded: its task processors queue up and it drops requests",
                "a firewall or fail2ban takes the wave for an attack and limits it",
                "packets were lost because a receive buffer was full",
            ),
            confirm="nstat -az UdpRcvbufErrors; the switch's log/messages; fail2ban-client status asterisk",
            mend="Except the phones' network from rate limits, raise net.core.rmem_max; then repeat it.",
        ),
        Explanation(
            code="load.register.refused",
            layer=Layer.PHONE,
            meaning="The registrar does not accept some phones: a wrong password, or an account that it does not know.",
            caller_notices="A call handler's phone stays dead after the power cut.",
            causes=(
                "the password in the phone (here: in the target's file) is not the one in the switch",
                "the account was removed from pjsip.conf",
            ),
            confirm="asterisk -rx 'pjsip show auth PHONE'; hwtest run sip.register",
            mend="Give the phone the password of the switch, or make its account again.",
        ),
    ),
    measure=measure,
)
