"""Probe 5: is the switch set up as it must be, and what is known to be wrong with its version?"""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

from hwtest.addresses import is_own
from hwtest.interlock import as_dialled
from hwtest.probes.contract import (
    Evidence,
    Explanation,
    Layer,
    Level,
    Need,
    NotMeasuredError,
    Probe,
    Threshold,
    Verdict,
)
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.switch.bugs import ANSWERS_AT_ONCE_SINCE, Version, bugs_of, lacks, version_of
from hwtest.switch.settings import (
    Endpoint,
    console,
    endpoints,
    names_of_others,
    next_contexts,
    number,
    running_modules,
    setting,
    steps,
    waits_for_audio,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.pbx.asterisk.ami.client import AmiClient

NEEDED = (
    "app_queue",
    "app_stasis",
    "bridge_native_rtp",
    "bridge_simple",
    "chan_pjsip",
    "codec_alaw",
    "codec_ulaw",
    "pbx_config",
    "res_ari",
    "res_ari_channels",
    "res_musiconhold",
    "res_pjsip_registrar",
    "res_pjsip_sdp_rtp",
    "res_pjsip_session",
    "res_rtp_asterisk",
    "res_stasis",
)
"""Without any of these a caller, a phone or the fallback is not served."""
FOR_THE_DAEMON = frozenset({"app_stasis", "res_ari", "res_ari_channels", "res_stasis"})
"""Of these only a switch that a daemon serves has a use."""
LOOK_UPS = 3
LOOK_UP_SECONDS = 5.0
ENDPOINTS = 200
PORTS_OF_A_LEG = 2
LINES = "edge-lines"
"""The context that our dialplan gives to trunks."""


async def measure(site: Site, sheet: Sheet) -> None:
    """What the switch prints of itself, and the name of its host."""
    client = await site.control()
    told = "\n".join(await console(client, "core show version"))
    if (version := version_of(told)) is None:
        raise NotMeasuredError(
            "the switch does not say its version: the account may not give commands, or it is no Asterisk"
            if not told
            else "what calls itself the switch is no Asterisk",
            "give the account `write = all` (or `command`) in manager.conf; asterisk -rx 'core show version'",
        )
    release = ".".join(map(str, version))
    sheet.note(f"The switch is Asterisk {release}.")
    site.say("its ports, files and modules")
    await _limits(sheet, client)
    needed = [name for name in NEEDED if site.target.daemon is not None or name not in FOR_THE_DAEMON]
    _modules(sheet, needed, running_modules(await console(client, "module show")))
    site.say("its dialplan")
    known = await endpoints(client, ENDPOINTS)
    await _dialplan(site, sheet, client, version, known)
    site.say("its host's name, and those of others")
    await _names(site, sheet, known)
    await _others(site, sheet, await names_of_others(client))
    _version(sheet, version, release)


async def _limits(sheet: Sheet, client: AmiClient) -> None:
    ports = await console(client, "rtp show settings")
    start, end = number(setting(ports, "Port start")), number(setting(ports, "Port end"))
    legs = (end - start + 1) // PORTS_OF_A_LEG if start is not None and end is not None else None
    span = Evidence(text=f"rtp show settings: ports {start} to {end}", file="rtp.conf")
    sheet.value("legs_by_rtp_ports", "legs", legs, note=f"two ports each: {span.text}", evidence=[span])
    core = await console(client, "core show settings")
    text = setting(core, "Maximum open file handles")
    if text == "Unlimited":
        sheet.note("The switch may open any number of files.")
    else:
        told = Evidence(text=f"core show settings: Maximum open file handles: {text}", file="asterisk.conf")
        # such as `1024 (is) 20000 (requested)` where it was not given what its configuration asks for
        is_allowed = number((text or "").partition(" ")[0])
        note = "" if text and text.isdecimal() else f"core show settings says: {text}"
        sheet.value("open_files", "files", is_allowed, evidence=[told], note=note)
    pjsip = await console(client, "pjsip show settings")
    trigger = setting(pjsip, "taskprocessor_overload_trigger")
    if trigger == "global":
        words = "one overloaded part of the switch makes all of it refuse calls"
        told = Evidence(
            text="pjsip show settings: taskprocessor_overload_trigger : global", file="pjsip.conf"
        )
        sheet.find(OVERLOAD, Verdict.WARN, words, told)


def _modules(sheet: Sheet, needed: Sequence[str], running: set[str]) -> None:
    missing = [name for name in needed if name not in running]
    told = Evidence(text=f"module show: not running: {', '.join(missing) or 'none'}", file="modules.conf")
    sheet.value(
        "modules_missing",
        "modules",
        len(missing) if running else None,
        n=len(needed),
        note=f"{len(running)} run",
        evidence=[told],
    )


async def _dialplan(
    site: Site, sheet: Sheet, client: AmiClient, version: Version, known: list[Endpoint]
) -> None:
    """Whether those who bring callers are let into a context that knows the test lines, and how it answers them."""
    lines = {name: as_dialled(line.number) for name, line in site.target.lines.items() if line.phone}
    contexts = _contexts(site, known)
    absent, waiting, seen = list[str](), list[str](), set[str]()
    for name, digits in lines.items():
        without = list[str]()
        for context in contexts:
            shown = await console(client, f"dialplan show {digits}@{context}")
            if not steps(shown):
                without.append(context)
            elif site.target.daemon is not None:
                seen.update(next_contexts(shown))
        if without == contexts:
            absent.append(f"line {name} in context {', '.join(contexts)}")
        elif without:  # a trunk may be for other lines
            sheet.note(f"Line {name} is not reached by who calls into context {', '.join(without)}.")
    if site.target.daemon is not None:  # what callers of other lines go through too
        seen.update(next_contexts(await console(client, f"dialplan show {LINES}")))
    for context in sorted(seen):
        waiting += [
            f"{step.application}({step.arguments}) in {context}, {step.source}"
            for step in steps(await console(client, f"dialplan show {context}"))
            if waits_for_audio(step)
        ]
    told = Evidence(text=f"dialplan show NUMBER@CONTEXT: without steps: {', '.join(absent) or 'none'}")
    note = "" if lines else "the target's file names no line that rings a test phone"
    count = len(absent) if lines else None
    sheet.value("lines_absent", "lines", count, n=len(lines), note=note, evidence=[told])
    if version >= ANSWERS_AT_ONCE_SINCE and site.target.daemon is not None:
        slow = Evidence(text="; ".join(waiting[:5]) or "none", file="extensions.conf")
        note = "" if seen else f"no line's steps were found; asterisk -rx 'dialplan show {LINES}'"
        count = len(waiting) if seen else None
        sheet.value("answers_that_wait", "steps", count, n=len(seen), note=note, evidence=[slow])


def _contexts(site: Site, known: list[Endpoint]) -> list[str]:
    """Where test calls arrive: as the phone that they are placed as, else as any trunk."""
    caller = site.target.phones.get(site.target.caller_phone or "")
    if caller is not None:
        found = {endpoint.context for endpoint in known if endpoint.name == caller.user}
    else:
        found = {endpoint.context for endpoint in known if endpoint.known_by_address}
    return sorted(found) or [LINES]


async def _names(site: Site, sheet: Sheet, known: list[Endpoint]) -> None:
    """How long it takes to look up the host's own name, which the switch does for each call whose audio is not bound."""
    unbound = [endpoint.name for endpoint in known if not endpoint.audio_bound]
    sheet.value(
        "unbound_endpoints",
        "endpoints",
        len(unbound),
        n=len(known),
        note="their calls need the host's own name",
    )
    if not is_own(site.target.sip.host):
        sheet.value(
            "own_name_look_up", "ms", None, note="of another machine; run hwtest on the appliance itself"
        )
        return
    name = socket.gethostname()
    taken = [await asyncio.to_thread(look_up_ms, name) for _ in range(LOOK_UPS)]
    told = Evidence(text=f"getaddrinfo of the host's own name {name!r}", file="/etc/hosts")
    if any(milliseconds is None for milliseconds in taken):
        grave = Verdict.FAIL if unbound else Verdict.WARN
        words = f"this host cannot look up its own name {name!r}; {len(unbound)} of {len(known)} endpoints need it"
        sheet.find(NAMES, grave, words, told)
        return
    slowest = max(milliseconds for milliseconds in taken if milliseconds is not None)
    sheet.value("own_name_look_up", "ms", slowest, n=LOOK_UPS, note="the slowest", evidence=[told])


async def _others(site: Site, sheet: Sheet, names: Mapping[str, str]) -> None:
    """Whether the switch's host knows those whom it is told to speak to by a name."""
    if not names:
        return
    if not is_own(site.target.sip.host):
        sheet.note(
            f"The switch speaks to {len(names)} others by name. Run hwtest on the appliance itself to have them looked up."
        )
        return
    known = await asyncio.gather(*(_is_known(name) for name in names))
    sheet.value("names_unknown", "names", known.count(False), n=len(names), note="of trunks and registrars")
    for name, found in zip(names, known, strict=True):
        if not found:
            told = Evidence(text=f"getaddrinfo of {name!r}, which stands in {names[name]}", file="pjsip.conf")
            sheet.find(OTHERS, Verdict.FAIL, f"this host cannot look up {name!r} ({names[name]})", told)


async def _is_known(name: str) -> bool:
    """Whether a look-up gives an address within the time that a call can wait for it."""
    try:
        async with asyncio.timeout(LOOK_UP_SECONDS):
            return await asyncio.to_thread(look_up_ms, name) is not None
    except TimeoutError:
        return False


def look_up_ms(name: str) -> float | None:
    """So long as the switch waits for it; None when the name has no address."""
    begun = time.monotonic_ns()
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return None
    return (time.monotonic_ns() - begun) / 1e6


def _version(sheet: Sheet, version: Version, release: str) -> None:
    """A bug with a release that mends it is a warning; one without is told, as nobody can do anything about it."""
    known = bugs_of(version)
    sheet.value("known_bugs", "bugs", len(known), note="of this version, that matter here")
    for bug in known:
        words = f"Asterisk {release}: {bug.words} ({bug.where})"
        mended = ".".join(map(str, bug.mended or ()))
        if not mended:
            sheet.note(f"{words}; no version that mends it is known to us.")
        elif not bug.released:
            sheet.note(f"{words}; {mended} mends it, which was not out when this list was made.")
        else:
            sheet.find(BUG, Verdict.WARN, f"{words}; mended in {mended}", Evidence(text=bug.where))
    for words in lacks(version):
        sheet.find(OLD, Verdict.WARN, f"Asterisk {release}: {words}", Evidence(text="core show version"))


PORTS, FILES, MODULES, CONTEXT, ANSWERS, NAMES, OTHERS, OVERLOAD, BUG, OLD = (
    f"host.config.{word}"
    for word in (
        "ports",
        "files",
        "modules",
        "context",
        "answers",
        "names",
        "others",
        "overload",
        "bug",
        "old",
    )
)

PROBE = Probe(
    name="host.config",
    number=5,
    title="The switch is set up as it must be",
    level=Level.SAFE,
    needs=frozenset({Need.CONTROL}),
    seconds=2.0,
    term="configuration of the switch and its host",
    reference="own; Asterisk's rtp.conf, modules.conf, pjsip.conf, Answer(); RFC 3550 §11 (two ports a stream)",
    meaning=(
        "Some settings do no harm until the day of a major incident: too few ports, a name that cannot be looked up, a "
        "module that was left out. They are read here, so that nobody has to remember them."
    ),
    thresholds=(
        Threshold(
            figure="legs_by_rtp_ports",
            statistic="value",
            passes=200.0,
            warns=50.0,
            unit="legs",
            clause="own: 100 callers at once, each with a leg of their own and one to a phone",
            code=PORTS,
            at_least=True,
        ),
        Threshold(
            figure="open_files",
            statistic="value",
            passes=4096.0,
            warns=1024.0,
            unit="files",
            clause="own: about eight for each call",
            code=FILES,
            at_least=True,
        ),
        Threshold(
            figure="modules_missing",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="modules",
            clause="own",
            code=MODULES,
        ),
        Threshold(
            figure="lines_absent",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="lines",
            clause="own",
            code=CONTEXT,
        ),
        Threshold(
            figure="answers_that_wait",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="steps",
            clause="own",
            code=ANSWERS,
        ),
        Threshold(
            figure="own_name_look_up",
            statistic="value",
            passes=50.0,
            warns=1000.0,
            unit="ms",
            clause="own: it is done twice for each leg",
            code=NAMES,
        ),
    ),
    explanations=(
        Explanation(
            code=PORTS,
            layer=Layer.SWITCH,
            meaning=(
                "Every leg of a call takes two ports for its audio. With all of them in use the switch takes no more calls, "
                "however idle it is."
            ),
            caller_notices="On a busy day a tone that all is busy, or a call without sound, while handlers are free.",
            causes=(
                "rtpstart and rtpend in rtp.conf were set close together to open few ports in a firewall",
                "another rtp.conf is in use than was meant",
            ),
            confirm="asterisk -rx 'rtp show settings'; grep -E 'rtpstart|rtpend' /etc/asterisk/rtp.conf",
            mend=(
                "Widen rtpstart to rtpend in rtp.conf (10000 to 20000 is usual) and the firewall with it, then: "
                "asterisk -rx 'module reload res_rtp_asterisk.so'."
            ),
        ),
        Explanation(
            code=FILES,
            layer=Layer.HOST,
            meaning="The switch may open so few files and sockets that it runs out of them before it runs out of calls.",
            caller_notices="On a busy day calls fail one after the other, and nothing recovers until calls have ended.",
            causes=(
                "the service's limit was never raised: a shell's usual 1024",
                "maxfiles in asterisk.conf is lower than the service's limit",
            ),
            confirm="asterisk -rx 'core show settings' | grep 'file handles'; systemctl show asterisk -p LimitNOFILE",
            mend="Set LimitNOFILE=65536 for the service (systemctl edit asterisk) and maxfiles in asterisk.conf; restart it.",
        ),
        Explanation(
            code=MODULES,
            layer=Layer.SWITCH,
            meaning="A part of the switch that serves callers, phones or the fallback does not run.",
            caller_notices="It depends on the part: no calls at all, no sound, or no queue when the daemon is away.",
            causes=(
                "modules.conf does not load it, or says noload",
                "the package that has it is not installed",
                "it declined to start: its own configuration has an error",
            ),
            confirm="asterisk -rx 'module show like NAME'; grep -i NAME /var/log/asterisk/messages | tail",
            mend="Name it in modules.conf (load = NAME.so), then asterisk -rx 'module load NAME.so', and read what it says.",
        ),
        Explanation(
            code=CONTEXT,
            layer=Layer.DIALPLAN,
            meaning="Calls that come in are let into a part of the dialplan that does not know the test line.",
            caller_notices="A tone or a message that the number cannot be reached.",
            causes=(
                "the trunk's endpoint has another context than edge-lines, and that does not include it",
                "the dialplan was not generated again, or not loaded, after the line was added",
                "the number in the target's file is not the line's",
            ),
            confirm="asterisk -rx 'pjsip show endpoint TRUNK' | grep context; asterisk -rx 'dialplan show NUMBER@CONTEXT'",
            mend="Set context = edge-lines for the trunk in pjsip.conf, or include it; then edge dialplan and dialplan reload.",
        ),
        Explanation(
            code=ANSWERS,
            layer=Layer.DIALPLAN,
            meaning=(
                "The dialplan answers with Answer() alone, which then waits until the caller's audio comes, half a second "
                "at the least where none comes. Answer(0,i) does not."
            ),
            caller_notices="Half a second of silence before the greeting or the first ring.",
            causes=(
                "the dialplan was generated for an older switch, before it was upgraded",
                "somebody has written the line's dialplan by hand",
            ),
            confirm="asterisk -rx 'dialplan show edge-line-NAME' | grep Answer",
            mend="Generate the dialplan again for this version (edge dialplan) and load it: asterisk -rx 'dialplan reload'.",
        ),
        Explanation(
            code=NAMES,
            layer=Layer.HOST,
            meaning=(
                "The switch's host cannot look up its own name, or only slowly. The switch does so for each leg whose audio "
                "has no address of its own, and everybody waits meanwhile."
            ),
            caller_notices="Calls ring seconds late, and when many come at once most of them are not taken at all.",
            causes=(
                "the host's name is not in /etc/hosts and no name server knows it",
                "a name server in /etc/resolv.conf does not answer",
                "the host was renamed, or runs in a container with a name that was made up",
            ),
            confirm="on the appliance: time getent ahosts $(hostname)",
            mend=(
                "Put the name into /etc/hosts (127.0.1.1 NAME); and give every endpoint media_address and "
                "bind_rtp_to_media_address = yes in pjsip.conf."
            ),
        ),
        Explanation(
            code=OTHERS,
            layer=Layer.HOST,
            meaning="The switch is told to speak to a trunk or a proxy by a name that its host cannot look up.",
            caller_notices="Calls by that trunk fail: nobody is called back, and nothing can be passed on to the buddy force.",
            causes=(
                "the name in pjsip.conf is misspelt, or the provider has given it up",
                "a name server in /etc/resolv.conf does not answer, or not for names of the provider's network",
                "the name stood in /etc/hosts, and was lost when the appliance was installed again",
            ),
            confirm="on the appliance: getent ahosts NAME; asterisk -rx 'pjsip show contacts'",
            mend="Correct the name in pjsip.conf, or mend the host's name look-up; a trunk's address may stand in /etc/hosts.",
        ),
        Explanation(
            code=OVERLOAD,
            layer=Layer.SWITCH,
            meaning=(
                "When any one part of the switch falls behind, such as a program on ARI that hangs, it refuses every new call. "
                "That is how it comes; it can be told to look at its SIP part alone."
            ),
            caller_notices="Nothing, until something else hangs: then no new call is taken.",
            causes=(
                "pjsip.conf does not set taskprocessor_overload_trigger",
                "edge101-pjsip-global.conf is not included in pjsip.conf",
            ),
            confirm="asterisk -rx 'pjsip show settings' | grep overload; asterisk -rx 'core show taskprocessors'",
            mend="Include edge101-pjsip-global.conf in pjsip.conf, or set taskprocessor_overload_trigger = pjsip_only.",
        ),
        Explanation(
            code=BUG,
            layer=Layer.SWITCH,
            meaning="The switch's version has a fault that its makers have mended since, and that can hit here.",
            caller_notices="Nothing, until it hits; the summary says what then happens.",
            causes=(
                "the switch has not been upgraded since",
                "the distribution does not have the release yet",
            ),
            confirm="asterisk -rx 'core show version'; read the issue that is named",
            mend="Plan the upgrade for a quiet hour, and run `hwtest accept` before and after it.",
        ),
        Explanation(
            code=OLD,
            layer=Layer.SWITCH,
            meaning="The switch is older than something that we would use, so a second-best way is taken.",
            caller_notices="A short pause, or a longer one should the daemon ever hang; the summary says which.",
            causes=(
                "the appliance runs an old release of the switch",
                "the distribution is old",
            ),
            confirm="asterisk -rx 'core show version'; edge check",
            mend="Plan the upgrade of the switch; until then this is a known limit and no fault.",
        ),
    ),
    measure=measure,
)
