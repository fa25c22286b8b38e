"""What no single key is guilty of: values that do not go together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from edge.config import rules_of_101, rules_of_999, rules_of_callback, rules_of_mi, rules_of_ship
from edge.config.findings import Level
from edge.config.model import Configuration
from edge.config.position import KeyPath
from edge.config.rules import Contradiction, Rule, dotted, repeated, unknown
from edge.core.model import PhoneKind

FULL_VERSION = (20,)
"""ASTERISK.md, section 8: from here on the switch has all that the design uses."""


def contradictions(configuration: Configuration) -> Iterator[Contradiction]:
    """Everything that does not go together."""
    for rule in (
        *rules_of_999.RULES,
        *rules_of_101.RULES,
        *rules_of_callback.RULES,
        *rules_of_mi.RULES,
        *rules_of_ship.RULES,
        *_RULES,
    ):
        yield from rule(configuration)


def _numbers_and_codes_are_used_once(configuration: Configuration) -> Iterator[Contradiction]:
    dialled: dict[KeyPath, str] = {
        ("line", name, "number"): line.number for name, line in configuration.lines.items()
    }
    dialled |= {("codes", name): code for name, code in _codes(configuration).items()}
    for key, first, value in repeated(dialled):
        yield Contradiction(key, f"{dotted(first)} is {value} too", "Each number and code has one meaning.")
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
    """A code may be followed by digits (an agent's number, the place of a reason, code or queue), so none may begin
    another, a line's number or an agent's."""
    codes = _codes(configuration)
    dialled = {f"codes.{name}": code for name, code in codes.items()}
    dialled |= {f"line.{name}.number": line.number for name, line in configuration.lines.items()}
    dialled |= {f"agent {number}, whose number": number for number in configuration.agents}
    for name, code in codes.items():
        for other, value in dialled.items():
            if value != code and value.startswith(code):
                yield Contradiction(
                    ("codes", name),
                    f"{other} = {value} begins with this code",
                    "Choose codes that differ earlier.",
                )


def _codes(configuration: Configuration) -> Mapping[str, str]:
    codes: Mapping[str, str] = configuration.codes.model_dump()
    return codes


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


def _names_differ_without_dashes(configuration: Configuration) -> Iterator[Contradiction]:
    """Asterisk ignores dashes when it compares extensions (main/pbx.c, ext_cmp), and these are found by extension."""
    tables: dict[str, Iterable[str]] = {
        "phone": configuration.phones,
        "queue": configuration.queues,
        "line": configuration.lines,
    }
    plain: dict[KeyPath, str] = {
        (table, name): f"{table} {name.replace('-', '')}" for table, names in tables.items() for name in names
    }
    for key, first, _ in repeated(plain):
        yield Contradiction(
            key, f"differs from {dotted(first)} only in dashes, which the switch ignores", "Rename one."
        )


def _agents_have_phones_of_their_own(configuration: Configuration) -> Iterator[Contradiction]:
    phones: dict[KeyPath, str] = {
        ("agent", number, "phone"): agent.phone
        for number, agent in configuration.agents.items()
        if agent.phone is not None
    }
    yield from unknown("phone", {**phones}, configuration.phones)
    for key, first, phone in repeated(phones):
        yield Contradiction(
            key,
            f'"{phone}" is the usual phone of agent {first[1]} too: whom would the sign-in code alone sign in?',
            "Leave phone out and sign in with code, number and PIN.",
        )


def _version_has_limits(configuration: Configuration) -> Iterator[Contradiction]:
    from dialplans.asterisk.generate import claims  # the generator needs this package

    version = configuration.switch.version_numbers
    if version >= FULL_VERSION and not claims(version):
        yield Contradiction(
            ("switch", "version"),
            f"Asterisk {configuration.switch.version} is not known to have StasisBroadcast: only the dead-man takes callers from"
            " a daemon that hangs, new ones too",
            'Name the minor version, such as "22.10": 20.20, 22.10, 23.4 and later have it.',
            Level.WARNING,
        )
    if version < FULL_VERSION:
        yield Contradiction(
            ("switch", "version"),
            f"Asterisk {configuration.switch.version} has limits: Answer() waits up to 0.5 s for a caller's media, there is "
            "no StasisBroadcast, and only the dead-man takes callers from a daemon that hangs",
            "Use Asterisk 20 or later, 22 if you can.",
            Level.WARNING,
        )


def _accounts_differ(configuration: Configuration) -> Iterator[Contradiction]:
    rescue = configuration.switch.rescue
    if rescue is not None and rescue.user == configuration.switch.ami.user:
        yield Contradiction(
            ("switch", "rescue", "user"),
            "is the daemon's own account, which has more rights",
            'Give it a name of its own, such as "edge101-rescue".',
        )


_RULES: tuple[Rule, ...] = (
    _accounts_differ,
    _numbers_and_codes_are_used_once,
    _codes_are_told_apart,
    _phones_can_be_reached,
    _names_differ_without_dashes,
    _agents_have_phones_of_their_own,
    _version_has_limits,
)
