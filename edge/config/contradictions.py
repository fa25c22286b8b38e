"""What no single key is guilty of: values that do not go together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from edge.config.findings import Level
from edge.config.model import STANDARD_CLASS, Configuration
from edge.config.position import KeyPath
from edge.core.model import Answer, PhoneKind

EMERGENCY_DEAD_MAN_SECONDS = 3.0
"""ASTERISK.md, design rule 2: the longest that a 999 may stand unattended before the switch takes it back."""

FULL_VERSION = (20,)
"""ASTERISK.md, section 8: from here on the switch has all that the design uses."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two things that cannot both be meant. `key`: where a person would mend it."""

    key: KeyPath
    problem: str
    mend: str
    level: Level = Level.ERROR


def contradictions(configuration: Configuration) -> Iterator[Contradiction]:
    """Everything that does not go together."""
    for rule in _RULES:
        yield from rule(configuration)


def _names(known: Iterable[str]) -> str:
    return f"Known: {', '.join(sorted(known)) or 'none'}."


def _lines_name_known_things(configuration: Configuration) -> Iterator[Contradiction]:
    classes = {STANDARD_CLASS, *configuration.classes}
    for name, line in configuration.lines.items():
        if line.queue not in configuration.queues:
            yield Contradiction(
                ("line", name, "queue"), f'there is no queue "{line.queue}"', _names(configuration.queues)
            )
        if line.priority_class not in classes:
            yield Contradiction(
                ("line", name, "class"), f'there is no class "{line.priority_class}"', _names(classes)
            )


def _lines_are_answered_as_their_tier_needs(configuration: Configuration) -> Iterator[Contradiction]:
    for name, line in configuration.lines.items():
        if line.greeting and line.answered is Answer.BY_AGENT:
            yield Contradiction(
                ("line", name, "greeting"),
                "nobody can hear a greeting on a line that is answered by an agent",
                "Leave the greeting out.",
            )
        if line.emergency and line.answered is Answer.ON_ARRIVAL:
            yield Contradiction(
                ("line", name, "answer"),
                "a 999 caller would be answered by a machine",
                'Leave it out, or answer = "by_agent".',
                Level.WARNING,
            )
        if line.emergency and line.renewed_within > EMERGENCY_DEAD_MAN_SECONDS:
            yield Contradiction(
                ("line", name, "dead_man_seconds"),
                f"a 999 caller could stand unattended for {line.renewed_within:g} s",
                f"At most {EMERGENCY_DEAD_MAN_SECONDS:g}.",
                Level.WARNING,
            )


def _emergency_has_queues_of_its_own(configuration: Configuration) -> Iterator[Contradiction]:
    routine = {line.queue for line in configuration.lines.values() if not line.emergency}
    for name, line in configuration.lines.items():
        if line.emergency and line.queue in routine:
            yield Contradiction(
                ("line", name, "queue"),
                f'101 callers wait in the queue "{line.queue}" too',
                "Give 999 a queue of its own.",
            )


def _queues_can_be_served(configuration: Configuration) -> Iterator[Contradiction]:
    present = {skill for agent in configuration.agents.values() for skill in agent.skills}
    for name, queue in configuration.queues.items():
        for skill in queue.skills:
            if skill not in present:
                yield Contradiction(
                    ("queue", name, "skills"),
                    f'no agent has the skill "{skill}"',
                    f"Give it to an agent, or leave it out. {_names(present)}",
                    Level.WARNING,
                )


def _relaxations_increase(configuration: Configuration) -> Iterator[Contradiction]:
    for name, queue in configuration.queues.items():
        if any(later.after_seconds <= earlier.after_seconds for earlier, later in pairwise(queue.relax)):
            yield Contradiction(
                ("queue", name, "relax"),
                "after_seconds does not increase from one relaxation to the next",
                "Order them by after_seconds.",
            )


def _repeated(keys: Mapping[KeyPath, str]) -> Iterator[tuple[KeyPath, KeyPath, str]]:
    """(second key, first key, value) wherever a value is used again."""
    by_value: dict[str, list[KeyPath]] = defaultdict(list)
    for key, value in keys.items():
        by_value[value].append(key)
    for value, users in by_value.items():
        for user in users[1:]:
            yield user, users[0], value


def _numbers_and_codes_are_used_once(configuration: Configuration) -> Iterator[Contradiction]:
    dialled: dict[KeyPath, str] = {
        ("line", name, "number"): line.number for name, line in configuration.lines.items()
    }
    dialled |= {("codes", name): code for name, code in _codes(configuration).items()}
    for key, first, value in _repeated(dialled):
        yield Contradiction(
            key, f"{'.'.join(map(str, first))} is {value} too", "Each number and code has one meaning."
        )
    numbers = {line.number: name for name, line in configuration.lines.items()}
    for agent in configuration.agents:
        if agent in numbers:
            yield Contradiction(
                ("agent", agent),
                f"line.{numbers[agent]} has this number too: a transfer to it would go to the line",
                "Give the agent another number.",
                Level.WARNING,
            )


def _codes_are_told_apart(configuration: Configuration) -> Iterator[Contradiction]:
    """A code is followed by an agent's or a reason's number, so none may begin another or a line's number."""
    codes = _codes(configuration)
    dialled = {f"codes.{name}": code for name, code in codes.items()}
    dialled |= {f"line.{name}.number": line.number for name, line in configuration.lines.items()}
    for name, code in codes.items():
        for other, value in dialled.items():
            if value != code and value.startswith(code):
                yield Contradiction(
                    ("codes", name),
                    f"{other} = {value} begins with this code",
                    "Choose codes that differ earlier.",
                )


def _codes(configuration: Configuration) -> Mapping[str, str]:
    codes = configuration.codes
    return {
        "sign_in": codes.sign_in,
        "sign_out": codes.sign_out,
        "ready": codes.ready,
        "not_ready": codes.not_ready,
    }


def _phones_can_be_reached(configuration: Configuration) -> Iterator[Contradiction]:
    for name, phone in configuration.phones.items():
        for key, value in (("trunk", phone.trunk), ("number", phone.number)):
            if phone.kind is PhoneKind.TRUNK and not value:
                yield Contradiction(
                    ("phone", name, key),
                    "a phone of kind trunk needs it",
                    f'Add {key} = "..." to [phone.{name}].',
                )
            if phone.kind is PhoneKind.REGISTERED and value:
                yield Contradiction(
                    ("phone", name, key), "a registered phone has none", 'Leave it out, or kind = "trunk".'
                )


def _phone_names_differ_without_dashes(configuration: Configuration) -> Iterator[Contradiction]:
    """Asterisk ignores dashes when it compares extensions (main/pbx.c, ext_cmp), and phones are found by extension."""
    plain: dict[KeyPath, str] = {("phone", name): name.replace("-", "") for name in configuration.phones}
    for key, first, _ in _repeated(plain):
        yield Contradiction(
            key,
            f"differs from {'.'.join(map(str, first))} only in dashes, which the switch ignores",
            "Rename one.",
        )


def _agents_have_phones_of_their_own(configuration: Configuration) -> Iterator[Contradiction]:
    phones: dict[KeyPath, str] = {
        ("agent", number, "phone"): agent.phone
        for number, agent in configuration.agents.items()
        if agent.phone is not None
    }
    for key, phone in phones.items():
        if phone not in configuration.phones:
            yield Contradiction(key, f'there is no phone "{phone}"', _names(configuration.phones))
    for key, first, phone in _repeated(phones):
        yield Contradiction(
            key,
            f'"{phone}" is the usual phone of agent {first[1]} too: whom would the sign-in code alone sign in?',
            "Leave phone out and sign in with code, number and PIN.",
        )


def _version_has_limits(configuration: Configuration) -> Iterator[Contradiction]:
    if configuration.switch.version_numbers < FULL_VERSION:
        yield Contradiction(
            ("switch", "version"),
            f"Asterisk {configuration.switch.version} has limits: Answer() waits up to 0.5 s for a caller's media, there is "
            "no StasisBroadcast, and only the dead-man takes callers from a daemon that hangs",
            "Use Asterisk 20 or later, 22 if you can.",
            Level.WARNING,
        )


_RULES: tuple[Callable[[Configuration], Iterator[Contradiction]], ...] = (
    _lines_name_known_things,
    _lines_are_answered_as_their_tier_needs,
    _emergency_has_queues_of_its_own,
    _queues_can_be_served,
    _relaxations_increase,
    _numbers_and_codes_are_used_once,
    _codes_are_told_apart,
    _phones_can_be_reached,
    _phone_names_differ_without_dashes,
    _agents_have_phones_of_their_own,
    _version_has_limits,
)
