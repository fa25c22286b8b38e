"""Probe 9: can a phone register, stay registered and leave, and is a wrong password turned away?"""

from __future__ import annotations

from dataclasses import dataclass, field

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
from hwtest.target import Phone
from hwtest.useragent.binding import Attempt, Binding
from hwtest.useragent.wire import Credentials

ROUNDS = 10
EXPIRES_SECONDS = 120


@dataclass(slots=True)
class Seen:
    """What the registrar did."""

    registered: list[Attempt] = field(default_factory=list)
    refreshed: list[Attempt] = field(default_factory=list)
    withdrawn: list[Attempt] = field(default_factory=list)
    admitted: bool = False
    """Whether it took the password when it was only asked what is bound: a later refusal is for something else."""
    call_ids: list[str] = field(default_factory=list)
    """Of rounds in which something was not as it should be."""
    left_behind: int = 0
    """Rounds after whose end our contact was still bound."""
    wrong: Attempt | None = None
    """With a wrong password."""
    others: int = 0
    """Contacts of somebody else's that were bound before we came."""

    @property
    def attempts(self) -> list[Attempt]:
        """All with the right password."""
        return [*self.registered, *self.refreshed, *self.withdrawn]


async def measure(site: Site, sheet: Sheet) -> None:
    """Ten times: register, refresh, look, withdraw, look again; then once with a wrong password."""
    name, phone = _phone(site)
    seen = Seen()
    for number in range(1, ROUNDS + 1):
        site.say(f"phone {name}, {number} of {ROUNDS}")
        if not await _round(site, phone, seen):
            break
    if seen.registered[0].status is None:
        raise NotMeasuredError(
            f"nobody answers REGISTER at {phone.registrar}",
            "hwtest run sip.options; asterisk -rx 'pjsip show transports'",
        )
    if any(attempt.succeeded for attempt in seen.registered):
        site.say("once with a wrong password")
        seen.wrong = await _with_wrong_password(site, phone)
    judge(sheet, seen, name)


def _phone(site: Site) -> tuple[str, Phone]:
    """The one that the test line rings, else any that hwtest may be."""
    found = site.target.test_line
    names = [found[1].phone] if found is not None and found[1].phone else list(site.target.phones)
    if not names:
        raise NotMeasuredError(
            f"{site.target.name} has no phone that hwtest may be",
            f"give a [phone.NAME] in {site.target.source}",
        )
    return names[0], site.target.phones[names[0]]


async def _round(site: Site, phone: Phone, seen: Seen) -> bool:
    """Whether to go on: after a refusal there is no second, or an address might be barred for it."""
    async with site.user_agent(phone.user) as agent:
        binding = Binding(agent, phone.registrar, phone.user)
        known = Credentials(phone.user, phone.password)
        if not seen.registered:
            before = await binding.query(known)
            if not before.succeeded:
                seen.registered.append(before)
                seen.call_ids.append(binding.call_id)
                return False
            seen.admitted = True
            seen.others = sum(contact != binding.uri for contact in before.contacts)
        seen.registered.append(await binding.register(known, EXPIRES_SECONDS))
        if not seen.registered[-1].succeeded:
            seen.call_ids.append(binding.call_id)
            return False
        seen.refreshed.append(await binding.register(known, EXPIRES_SECONDS))
        seen.withdrawn.append(await binding.register(known, 0))
        after = await binding.query(known)
        kept = after.succeeded and binding.uri in after.contacts
        seen.left_behind += kept
        if kept or not (seen.refreshed[-1].succeeded and seen.withdrawn[-1].succeeded):
            seen.call_ids.append(binding.call_id)
    return True


async def _with_wrong_password(site: Site, phone: Phone) -> Attempt:
    async with site.user_agent(phone.user) as agent:
        binding = Binding(agent, phone.registrar, phone.user)
        wrong = Credentials(phone.user, f"{site.dice.getrandbits(64):016x}")
        attempt = await binding.register(wrong, EXPIRES_SECONDS)
        if attempt.succeeded:  # it must not stay bound, whatever the registrar makes of passwords
            await binding.register(Credentials(phone.user, phone.password), 0)
        return attempt


def judge(sheet: Sheet, seen: Seen, name: str) -> None:
    """Figures and findings of what was seen."""
    failed = [attempt for attempt in seen.attempts if not attempt.succeeded]
    told = Evidence(
        text=f"phone {name}: answers {', '.join(attempt.words for attempt in failed) or 'all 200'}",
        call_id=seen.call_ids[0] if seen.call_ids else None,
    )
    for figure, attempts in (
        ("registration_request_delay", seen.registered),
        ("refresh_delay", seen.refreshed),
        ("withdrawal_delay", seen.withdrawn),
    ):
        sheet.distribution(
            figure,
            "ms",
            [attempt.delay_ms for attempt in attempts if attempt.succeeded and attempt.delay_ms is not None],
            uncertainty=0.1,
            note=_rounds(attempts),
            evidence=[told],
        )
    refused = [attempt for attempt in failed if attempt.status in (401, 403, 407)]
    if refused and not seen.admitted:
        words = (
            f"the registrar turns phone {name} away ({refused[0].words}) with the password that it was given"
        )
        sheet.find(REFUSED, Verdict.FAIL, words, told)
    else:  # of one who is turned away for the password the share would blame the switch as well
        sheet.share("ineffective_attempts", len(failed), len(seen.attempts), evidence=[told])
    granted = [attempt.granted_seconds for attempt in seen.registered if attempt.granted_seconds]
    if granted:
        sheet.value("granted", "s", min(granted), n=len(granted), note=f"of {EXPIRES_SECONDS} s asked for")
    if seen.withdrawn:
        sheet.value("left_behind", "contacts", seen.left_behind, n=len(seen.withdrawn), evidence=[told])
    if seen.others:
        sheet.note(
            f"Phone {name} was registered from {seen.others} other place(s); it may have to register again."
        )
    _passwords(sheet, seen, name)


def _rounds(attempts: list[Attempt]) -> str:
    challenged = sum(attempt.challenged for attempt in attempts)
    again = sum(attempt.sent_again for attempt in attempts)
    return f"{challenged} of {len(attempts)} with a challenge, its round included; {again} sent again"


def _passwords(sheet: Sheet, seen: Seen, name: str) -> None:
    if seen.wrong is None:
        return
    told = Evidence(text=f"REGISTER of phone {name} with a wrong password: {seen.wrong.words}")
    if seen.wrong.succeeded:
        words = f"phone {name} was registered with a wrong password"
        sheet.find(OPEN, Verdict.FAIL, words, told)
    elif seen.wrong.status is None:
        sheet.note(
            "The wrong password had no answer: the registrar, or a guard before it, keeps silent then."
        )
    if seen.registered and not any(attempt.challenged for attempt in seen.registered):
        sheet.find(OPEN, Verdict.FAIL, f"phone {name} was registered and not asked for a password", told)


SLOW, REFUSED, INEFFECTIVE, OPEN, KEPT = (
    f"sip.register.{word}" for word in ("slow", "refused", "ineffective", "open", "kept")
)


def _delay(figure: str) -> Threshold:
    return Threshold(
        figure=figure, statistic="p95", passes=200.0, warns=1000.0, unit="ms", clause="own", code=SLOW
    )


PROBE = Probe(
    name="sip.register",
    number=9,
    title="A phone registers, stays registered and leaves",
    level=Level.SAFE,
    seconds=2.0,
    term="RRD (registration request delay) and IRA (ineffective registration attempts)",
    reference="RFC 6076 §4.1 (RRD), §4.2 (IRA); RFC 3261 §10.2, §22 (digest)",
    meaning=(
        "A phone that is not registered is not rung. After a power cut all of them register at once, and each must be back "
        "before the next call for it comes; and nobody may be taken for a handler's phone without its password."
    ),
    thresholds=(
        _delay("registration_request_delay"),
        _delay("refresh_delay"),
        Threshold(
            figure="ineffective_attempts",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="%",
            clause="own; what counts is RFC 6076 §4.2: challenges (401, 407) do not",
            code=INEFFECTIVE,
        ),
        Threshold(
            figure="left_behind",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="contacts",
            clause="RFC 3261 §10.2.2",
            code=KEPT,
        ),
    ),
    explanations=(
        Explanation(
            code=SLOW,
            layer=Layer.SWITCH,
            meaning="The registrar takes long to register a phone or to keep it registered.",
            caller_notices="Nothing at first. After a power cut handlers' phones are back late, and callers wait so long.",
            causes=(
                "the switch is overloaded, or many phones register at once",
                "registrations are written to a slow disk or database",
                "a long or lossy path: REGISTERs are sent again after half a second",
            ),
            confirm="hwtest run sip.options net.path; asterisk -rx 'core show taskprocessors' | grep -i registrar",
            mend="Lighten the switch or mend the path; spread the phones' registration times (expiry) where all come at once.",
        ),
        Explanation(
            code=REFUSED,
            layer=Layer.PHONE,
            meaning="The registrar does not take the password that this phone has.",
            caller_notices="This phone is not rung, though its handler sits there and is signed in.",
            causes=(
                "the password was changed on one side only",
                "the user name belongs to another phone",
                "an access list keeps this phone's address out, or an earlier wrong password has barred it",
            ),
            confirm="asterisk -rx 'pjsip show auth NAME'; grep -i 'NAME' /var/log/asterisk/messages | tail",
            mend="Give phone and switch the same password; then see that no guard (fail2ban) still bars the address.",
        ),
        Explanation(
            code=INEFFECTIVE,
            layer=Layer.SWITCH,
            meaning="The registrar answered some registrations with a failure that is not about passwords, or not at all.",
            caller_notices="Phones are gone from time to time: a handler who is signed in is not rung.",
            causes=(
                "the phone's section (aor) is missing on the switch, or takes no contact (max_contacts)",
                "the switch refuses for overload (503) or times out",
                "packets are lost on the way",
            ),
            confirm="asterisk -rx 'pjsip show aor NAME'; hwtest run sip.options net.path",
            mend="Mend the aor (max_contacts = 1, remove_existing = yes), or what the answers in the evidence name.",
        ),
        Explanation(
            code=OPEN,
            layer=Layer.SWITCH,
            meaning="Anybody who reaches the switch can take a handler's place: the password does not count.",
            caller_notices="Nothing, until somebody else takes their call.",
            causes=(
                "the phone's endpoint has no auth in pjsip.conf",
                "an endpoint that is known by its address alone covers the phones' network",
            ),
            confirm="asterisk -rx 'pjsip show endpoint NAME' | grep -i auth",
            mend="Give the endpoint its auth section, reload (asterisk -rx 'module reload res_pjsip.so'); run this again.",
        ),
        Explanation(
            code=KEPT,
            layer=Layer.SWITCH,
            meaning="A phone that has left is still taken for reachable, and calls are sent to where nobody is.",
            caller_notices="Ringing that nobody can hear, until the switch gives this phone up and tries another.",
            causes=(
                "the registrar ignores Expires 0, or a device between rewrites it",
                "the contact was stored under another address than it is withdrawn under (NAT, rewrite_contact)",
            ),
            confirm="asterisk -rx 'pjsip show contacts' after the phone has left",
            mend="Take the device between out of the way (SIP ALG off), or set remove_existing = yes for the aor.",
        ),
    ),
    measure=measure,
)
