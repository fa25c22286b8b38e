"""Turns a configuration into Asterisk's files. Pure and deterministic: the same configuration gives the same text.

Every value that gets into a file has a narrow set of characters by the rules of `edge.config.model`; the template
environment refuses once more whatever could end a line, an argument or an expression. What callers bring (names,
numbers, headers) never stands in the dialplan: it stays on the channel and is read there by the adapter.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from edge.config.model import Configuration, LineSection, PhoneSection, QueueSection
from edge.core.model import Answer, PhoneKind

FILES = (
    "edge101-extensions.conf",
    "edge101-queues.conf",
    "edge101-manager.conf",
    "edge101-ari.conf",
    "edge101-http.conf",
    "edge101-pjsip-global.conf",
    "edge101-musiconhold.conf",
    "edge101-cel.conf",
    "edge101-cel_custom.conf",
    "edge101-cdr.conf",
    "edge101-cdr_custom.conf",
)
ANSWER_AT_ONCE_SINCE = (20,)
"""Answer(0,i): answers without waiting for the caller's media (ASTERISK.md section 8: 504 ms on older versions)."""
CLAIMS_SINCE = {20: 20, 22: 10, 23: 4}
"""The minor version from which each major has StasisBroadcast(); later majors have it. 21 never got it."""
CLAIM_MILLISECONDS = 700
"""How long a caller waits for the daemon to take them: it does within some milliseconds, or it hangs."""
FALLBACK_RING_SECONDS = 8
"""In the fallback a ringing 101 keeps a 999 waiting this long at worst (ASTERISK.md section 1)."""
FALLBACK_STAY_SECONDS = 120
"""An answered caller in the fallback is told this often that they are still in the queue."""
OTHERS_RING_SECONDS = 15
"""How long supervisors and the buddy number ring for an emergency in the fallback; agents are not rung meanwhile."""
OTHERS_AGAIN_SECONDS = 10
"""After that, how long the agents are rung alone before supervisors and the buddy number are again."""
DIVERT_RING_SECONDS = 30
SPY_OPTIONS = {"listen": "qbES", "whisper": "qbESw", "barge": "qbESB", "conference": "qbESB"}
"""ChanSpy's options by how a supervisor takes part."""
INVITATION_RING_SECONDS = 30
"""How long the phone rings of a supervisor whom a handler asks into a conversation."""
PRIORITY_OF_2026 = 2_000_000_000
DECISECONDS_OF_2026 = 17_672_256_000
"""1 January 2026 UTC. A constant: were it to follow the year of generation, generating anew would reorder the waiting."""
PRIORITY_CONSTANT = PRIORITY_OF_2026 + DECISECONDS_OF_2026
"""QUEUE_PRIO is this less the tenths of a second since 1970 at which a caller counts as having joined."""
EMERGENCY_WEIGHT = 100
EVENTS = (
    "FullyBooted",
    "Shutdown",
    "UserEvent",
    "Hangup",
    "HangupRequest",
    "Hold",
    "Unhold",
    "BridgeEnter",
    "BridgeLeave",
    "DeviceStateChange",
    "QueueMemberAdded",
    "QueueMemberRemoved",
    "QueueMemberPause",
    "AgentConnect",
    "DTMFEnd",
    "BlindTransfer",
    "AttendedTransfer",
)
"""The manager events that the adapter acts on; every other stays in the switch (a call makes 43). DialState has a filter of
its own, for the few legs that it is read of."""

_PERMISSIONS = 0o640  # the files hold the passwords of ARI and AMI
_SAFE = re.compile(r"[A-Za-z0-9_.+/=@%^~*#:-][A-Za-z0-9_.+/=@%^~*#: -]*")
_HEADER = re.compile(r"[A-Za-z0-9<>:/?&._%~+@=-]([A-Za-z0-9<>:/?&._%~+@= -]|\\;)*")


class HeaderValue(str):
    """The value of a SIP header, its semicolons escaped: with more marks than other values may have."""

    __slots__ = ()


class UnsafeValueError(ValueError):
    """A value that Asterisk would read as syntax. A fault of ours: the configuration should have refused it."""


def claims(asterisk_version: tuple[int, ...]) -> bool:
    """Whether the switch can ask who takes a caller. A version without its minor number counts as the first of its major."""
    major, minor = (*asterisk_version, 0)[:2]
    if major in CLAIMS_SINCE:
        return minor >= CLAIMS_SINCE[major]
    return major > max(CLAIMS_SINCE)


def generate(configuration: Configuration, asterisk_version: tuple[int, ...]) -> dict[str, str]:
    """File name to text of everything that Asterisk needs for `configuration`; `asterisk_version` as (22, 10, 1)."""
    from jinja2 import (
        Environment,
        FileSystemLoader,
        StrictUndefined,
    )  # the daemon reads our constants, and renders nothing

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_harmless,
        autoescape=False,  # noqa: S701 - not HTML; _harmless stands guard
    )
    values = _values(configuration, asterisk_version)
    return {name: environment.get_template(f"{name}.j2").render(values) for name in FILES}


def write(files: Mapping[str, str], directory: Path) -> list[str]:
    """Writes what differs, each file whole or not at all and unreadable for others; the names of those written."""
    directory.mkdir(parents=True, exist_ok=True)
    changed = [name for name, text in files.items() if _text(directory / name) != text]
    for name in changed:
        _replace(directory / name, files[name])
    return changed


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _replace(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        temporary = Path(file.name)
        file.write(text)
    temporary.chmod(_PERMISSIONS)
    temporary.replace(path)


def _harmless(value: object) -> str:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    if not (_HEADER if isinstance(value, HeaderValue) else _SAFE).fullmatch(text):
        raise UnsafeValueError(
            f"a value of type {type(value).__name__} has characters with a meaning in Asterisk's files"
        )
    return text


@dataclass(frozen=True, slots=True)
class LineView:
    """A line as the template needs it."""

    name: str
    number: str
    queue: str
    music: str
    dead_man_seconds: str
    rings: bool
    """The caller hears ringing until a human answers."""
    priority_constant: int
    tier: str
    language: str
    limit: int
    """So many callers of all 101 lines are admitted at once, 0 for no limit."""
    test_interface: str | None
    """What rings for a synthetic 999, and nothing else does."""

    @property
    def emergency(self) -> bool:
        """Whether its callers are emergencies from the start."""
        return self.tier == "999"


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue as the template needs it."""

    name: str
    weight: int
    target_seconds: int
    emergency: bool
    """Fed by a 999 line, or where upgraded callers go."""


@dataclass(frozen=True, slots=True)
class PhoneView:
    """A phone as the template needs it."""

    name: str
    interface: str
    state_interface: str
    usual_agent: str | None
    trunk: str | None


@dataclass(frozen=True, slots=True)
class AgentView:
    """An agent as the template needs it."""

    number: str
    queues: tuple[str, ...]
    pin_digest: str | None
    supervisor: bool
    phone: str | None
    """The usual phone."""


@dataclass(frozen=True, slots=True)
class OthersView:
    """Who is rung for an emergency in the fallback besides the agents."""

    interfaces: tuple[str, ...]
    after_seconds: int


def _values(configuration: Configuration, asterisk_version: tuple[int, ...]) -> dict[str, object]:
    lines = [_line_view(configuration, name, line) for name, line in sorted(configuration.lines.items())]
    queues = [_queue_view(configuration, name, queue) for name, queue in sorted(configuration.queues.items())]
    others = _others(configuration)
    emergency_queue = configuration.emergency_queue
    return {
        "digest": configuration.digest or "none",
        "answers_at_once": asterisk_version >= ANSWER_AT_ONCE_SINCE,
        "claims": claims(asterisk_version),
        "claim_milliseconds": CLAIM_MILLISECONDS,
        "app": configuration.switch.app,
        "ari": configuration.switch.ari,
        "ari_host": urlsplit(configuration.switch.ari.url).hostname,
        "ari_port": urlsplit(configuration.switch.ari.url).port or 8088,
        "ami": configuration.switch.ami,
        "rescue": configuration.switch.rescue,
        "events": EVENTS,
        "lines": lines,
        "default_line": min(lines, key=lambda line: (line.test_interface is not None, line.emergency)).name,
        "queues": queues,
        "triage": [
            {"name": name, "emergency": _is_for_emergencies(configuration, name)}
            for name in configuration.triage.queues
        ],
        "emergency_queue": emergency_queue,
        "key": configuration.emergency.key if emergency_queue else "",
        "alert_info": HeaderValue(configuration.emergency.alert_info.replace(";", r"\;")),
        "others": others.interfaces,
        "others_after_seconds": others.after_seconds,
        "others_ring_seconds": OTHERS_RING_SECONDS,
        "others_again_seconds": OTHERS_AGAIN_SECONDS,
        "divert_ring_seconds": DIVERT_RING_SECONDS,
        "priority_constant": PRIORITY_CONSTANT,
        "phones": [
            _phone_view(configuration, name, phone) for name, phone in sorted(configuration.phones.items())
        ],
        "agents": [_agent_view(configuration, number) for number in sorted(configuration.agents)],
        "codes": configuration.codes,
        "spy_options": SPY_OPTIONS,
        "invitation_ring_seconds": INVITATION_RING_SECONDS,
        "reasons": configuration.not_ready.reasons,
        "wrap_up_codes": configuration.wrap_up.codes,
        "keeps_record": configuration.switch.keeps_record,
        "log_directory": configuration.switch.log_directory,
        "music_classes": sorted({line.music for line in configuration.lines.values()}),
        "ring_seconds": FALLBACK_RING_SECONDS,
        "stay_seconds": FALLBACK_STAY_SECONDS,
    }


def _line_view(configuration: Configuration, name: str, line: LineSection) -> LineView:
    head_start = round(10 * configuration.head_start_seconds(line.priority_class))
    test_phone = line.test_phone
    return LineView(
        name=name,
        number=line.number,
        queue=line.queue,
        music=line.music,
        dead_man_seconds=f"{line.renewed_within:g}",
        rings=line.answered is Answer.BY_AGENT,
        priority_constant=PRIORITY_CONSTANT + (0 if line.emergency else head_start),
        tier=line.tier,
        language=line.language,
        limit=0 if line.emergency else configuration.capacity.channels_101,
        test_interface=interface(test_phone, configuration.phones[test_phone]) if test_phone else None,
    )


def _queue_view(configuration: Configuration, name: str, queue: QueueSection) -> QueueView:
    emergency = _is_for_emergencies(configuration, name)
    weight = EMERGENCY_WEIGHT if emergency else 0
    return QueueView(name, weight, max(1, round(queue.target_seconds)), emergency)


def _is_for_emergencies(configuration: Configuration, queue: str) -> bool:
    return queue in configuration.queues_of_emergencies or queue == configuration.emergency_queue


def _others(configuration: Configuration) -> OthersView:
    """Supervisors at their usual phones and the buddy number, after the seconds of the last of them: the switch cannot ring
    them beside its queue, only in turn with it."""
    given = configuration.emergency
    names = [
        agent.phone
        for _, agent in sorted(configuration.agents.items())
        if agent.supervisor and agent.phone and given.supervisors_after_seconds
    ]
    after_seconds = given.supervisors_after_seconds
    if given.buddy_phone and given.buddy_after_seconds:
        names.append(given.buddy_phone)
        after_seconds = given.buddy_after_seconds
    interfaces = tuple(interface(name, configuration.phones[name]) for name in names)
    return OthersView(interfaces, max(1, round(after_seconds)))


def _phone_view(configuration: Configuration, name: str, phone: PhoneSection) -> PhoneView:
    usual = (number for number, agent in configuration.agents.items() if agent.phone == name)
    trunk = phone.trunk if phone.kind is PhoneKind.TRUNK else None
    return PhoneView(name, interface(name, phone), state_interface(name, phone), next(usual, None), trunk)


def interface(name: str, phone: PhoneSection) -> str:
    """What Asterisk dials for a phone."""
    return f"PJSIP/{phone.number}@{phone.trunk}" if phone.kind is PhoneKind.TRUNK else f"PJSIP/{name}"


def state_interface(name: str, phone: PhoneSection) -> str:
    """Whose device state app_queue looks at. A number behind a trunk has none, which app_queue would take for
    unreachable; a custom state that nobody sets is "unknown", and such a member is rung."""
    return f"Custom:edge-{name}" if phone.kind is PhoneKind.TRUNK else f"PJSIP/{name}"


def _agent_view(configuration: Configuration, number: str) -> AgentView:
    agent = configuration.agents[number]
    pin = agent.pin
    return AgentView(
        number,
        tuple(name for name, queue in sorted(configuration.queues.items()) if serves(agent.skills, queue)),
        _pin_digest(number, pin.get_secret_value()) if pin else None,
        agent.supervisor,
        agent.phone,
    )


def serves(skills: Mapping[str, int], queue: QueueSection) -> bool:
    """Whether an agent may take the queue's calls at once or after it relaxed. The fallback cannot relax with time,
    and a caller whom nobody may take would wait for ever."""
    return any(skills.keys() >= set(needed) for needed in (queue.skills, *(r.skills for r in queue.relax)))


def _pin_digest(agent: str, pin: str) -> str:
    """Keeps PINs off the screen of `dialplan show`. So few digits cannot be kept from who has the file."""
    return hashlib.sha1(f"{agent}:{pin}".encode(), usedforsecurity=False).hexdigest()
