"""What must hold so that 999 comes first: nothing stands in front of it, and somebody is always rung in the end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from edge.config.findings import Level
from edge.config.model import Configuration
from edge.config.position import KeyPath
from edge.config.rules import Contradiction, Rule, unknown
from edge.core.model import Answer, PhoneKind

DEAD_MAN_SECONDS = 3.0
"""ASTERISK.md, design rule 2: the longest that a 999 may stand unattended before the switch takes it back."""
EMERGENCY_NUMBERS = frozenset({"999", "112", "911", "18000", "101"})
"""A call of ours to one of these would come back to us, or reach the public's operators: 18000 is 999 by text relay."""
_COUNTRY = ("+44", "0044")


def _emergency_is_answered_by_a_human(configuration: Configuration) -> Iterator[Contradiction]:
    for name, line in configuration.lines.items():
        if line.emergency and line.answered is Answer.ON_ARRIVAL:
            yield Contradiction(
                ("line", name, "answer"),
                "a 999 caller would be answered by a machine",
                'Leave it out, or answer = "by_agent".',
                Level.WARNING,
            )
        if line.emergency and line.renewed_within > DEAD_MAN_SECONDS:
            yield Contradiction(
                ("line", name, "dead_man_seconds"),
                f"a 999 caller could stand unattended for {line.renewed_within:g} s",
                f"At most {DEAD_MAN_SECONDS:g}.",
                Level.WARNING,
            )


def _nothing_stands_in_front_of_999(configuration: Configuration) -> Iterator[Contradiction]:
    reason = "nothing stands in front of a 999"
    for name, line in configuration.lines.items():
        if line.emergency:
            for key, given in (("greeting", line.greeting), ("menu", line.menu)):
                if given is not None:
                    yield Contradiction(("line", name, key), reason, f"Leave {key} out of a 999 line.")
    queues = configuration.queues_of_emergencies | {configuration.emergency_queue}
    for name, queue in configuration.queues.items():
        fronts = {
            "announcements": queue.announcements,
            "hours": queue.hours,
            "limit": queue.limit,
            "maximum_wait_seconds": queue.maximum_wait_seconds,
            "overflow_queue": queue.overflow_queue,
            "overflow_phone": queue.overflow_phone,
            "callback": queue.plan,
        }
        for key, value in fronts.items():
            if name in queues and value is not None:
                yield Contradiction(
                    ("queue", name, key),
                    f"999 callers wait in this queue, and {reason}",
                    "Leave it out, or give 101 a queue of its own.",
                )
        if name in queues and any(relaxation.prompt for relaxation in queue.relax):
            yield Contradiction(
                ("queue", name, "relax"),
                f"999 callers wait in this queue, and {reason}: they would be told before the skills relax",
                "Leave prompt out.",
            )


def _emergency_has_queues_of_its_own(configuration: Configuration) -> Iterator[Contradiction]:
    routine = {line.queue for line in configuration.lines.values() if not line.emergency}
    mend = "Give 999 a queue of its own."
    for name, line in configuration.lines.items():
        if line.emergency and line.queue in routine:
            yield Contradiction(
                ("line", name, "queue"), f'101 callers wait in the queue "{line.queue}" too', mend
            )
    queue = configuration.emergency.queue
    if queue in routine:
        yield Contradiction(("emergency", "queue"), f'101 callers wait in the queue "{queue}" too', mend)


def _only_the_emergency_key_leads_to_999(configuration: Configuration) -> Iterator[Contradiction]:
    queues = configuration.queues_of_emergencies | {configuration.emergency_queue}
    ways: dict[KeyPath, str | None] = {
        ("queue", name, "overflow_queue"): queue.overflow_queue
        for name, queue in configuration.queues.items()
    }
    for name, line in configuration.lines.items():
        ways |= {
            ("line", name, "menu", "choices", key, "queue"): choice.queue
            for key, choice in line.choices.items()
        }
    for key, queue in ways.items():
        if queue is not None and queue in queues:
            yield Contradiction(
                key,
                f'999 callers wait in the queue "{queue}", and a 101 joins them by the emergency key alone',
                "Name another queue.",
            )
    for queue in configuration.incident.closed_queues:
        if queue in queues:
            yield Contradiction(
                ("incident", "closed_queues"),
                f'999 callers wait in the queue "{queue}", which is never closed',
                "Leave it out.",
            )


def _emergency_names_known_things(configuration: Configuration) -> Iterator[Contradiction]:
    given = configuration.emergency
    yield from unknown("queue", {("emergency", "queue"): given.queue}, configuration.queues)
    yield from unknown("phone", {("emergency", "buddy_phone"): given.buddy_phone}, configuration.phones)
    asked = given.model_fields_set & {"key", "break_wrap_up", "keep_free"}
    if configuration.emergency_queue is None and asked:
        yield Contradiction(
            ("emergency", min(asked)),
            "there is no 999 line and no queue of 999",
            'Name one: queue = "...".',
        )


def _escalation_goes_up(configuration: Configuration) -> Iterator[Contradiction]:
    given = configuration.emergency
    rungs = [
        (key, seconds)
        for key in ("all_agents_after_seconds", "supervisors_after_seconds", "buddy_after_seconds")
        if (seconds := getattr(given, key))
    ]
    for (lower, earlier), (higher, later) in pairwise(rungs):
        if later <= earlier:
            yield Contradiction(
                ("emergency", higher if higher in given.model_fields_set else lower),
                f"{higher} = {later:g} is not after {lower} = {earlier:g}",
                "Each rung comes after the one below it; 0 leaves one out.",
            )


def _enough_agents_to_keep_free(configuration: Configuration) -> Iterator[Contradiction]:
    keep_free, queue = configuration.emergency.keep_free, configuration.emergency_queue
    if not keep_free or queue not in configuration.queues:
        return
    skills = configuration.queues[queue].skills
    able = [agent for agent in configuration.agents.values() if agent.skills.keys() >= set(skills)]
    if keep_free > len(able):
        yield Contradiction(
            ("emergency", "keep_free"),
            f"only {len(able)} agents have the skills of the queue {queue}: none of them would ever take a 101",
            f"At most {max(0, len(able) - 1)}, or give more agents these skills.",
        )


def _somebody_is_rung_in_the_end(configuration: Configuration) -> Iterator[Contradiction]:
    supervisors = {number: agent for number, agent in configuration.agents.items() if agent.supervisor}
    for number, agent in supervisors.items():
        if agent.phone is None:
            yield Contradiction(
                ("agent", number, "supervisor"),
                "this supervisor has no usual phone: an unanswered 999 finds them only while they are signed in",
                'Add phone = "...".',
                Level.WARNING,
            )
    given = configuration.emergency
    supervised = bool(supervisors) and bool(given.supervisors_after_seconds)
    buddied = given.buddy_phone is not None and bool(given.buddy_after_seconds)
    if configuration.queues_of_emergencies and not supervised and not buddied:
        yield Contradiction(
            ("emergency",),
            "an unanswered 999 has nowhere to go: there is no supervisor and no buddy number that is rung",
            "Give an agent supervisor = true, or name a buddy_phone in [emergency].",
            Level.WARNING,
        )


def _buddy_is_another_force(configuration: Configuration) -> Iterator[Contradiction]:
    key: KeyPath = ("emergency", "buddy_phone")
    name = configuration.emergency.buddy_phone
    phone = configuration.phones.get(name or "")
    if name is None or phone is None:
        return
    if phone.kind is not PhoneKind.TRUNK:
        yield Contradiction(
            key,
            f'"{name}" is a phone of ours: the buddy is another force\'s number',
            f'In [phone.{name}]: kind = "trunk", trunk and number.',
        )
    for number, agent in configuration.agents.items():
        if agent.phone == name:
            yield Contradiction(
                key, f'"{name}" is the usual phone of agent {number}', "Name a phone of no agent."
            )


def _test_lines_ring_test_phones(configuration: Configuration) -> Iterator[Contradiction]:
    usual = {agent.phone: number for number, agent in configuration.agents.items()}
    lines = {name: line for name, line in configuration.lines.items() if line.test_phone is not None}
    wanted: dict[KeyPath, str | None] = {
        ("line", name, "test_phone"): line.test_phone for name, line in lines.items()
    }
    yield from unknown("phone", wanted, configuration.phones)
    for name, line in lines.items():
        key = ("line", name, "test_phone")
        if not line.emergency:
            yield Contradiction(key, "only a 999 line can be for tests", 'Leave it out, or tier = "999".')
        if line.test_phone in usual:
            yield Contradiction(
                key,
                f'"{line.test_phone}" is the usual phone of agent {usual[line.test_phone]}: a test would occupy them',
                "Name a phone of no agent.",
            )
        if line.test_phone == configuration.emergency.buddy_phone:
            yield Contradiction(key, "a test would ring the buddy force", "Name a phone of ours.")


def _we_do_not_call_ourselves(configuration: Configuration) -> Iterator[Contradiction]:
    """Numbers that the switch dials by itself: a 999 of ours must not go round in a circle or to the public's operators."""
    dialled: dict[KeyPath, str | None] = {("emergency", "buddy_phone"): configuration.emergency.buddy_phone}
    dialled |= {("line", name, "test_phone"): line.test_phone for name, line in configuration.lines.items()}
    dialled |= {
        ("queue", name, "overflow_phone"): queue.overflow_phone
        for name, queue in configuration.queues.items()
    }
    ours = {_plain(line.number) for line in configuration.lines.values()}
    for key, name in dialled.items():
        phone = configuration.phones.get(name or "")
        if phone is None or phone.number is None:
            continue
        if _plain(phone.number) in EMERGENCY_NUMBERS | ours:
            yield Contradiction(
                key,
                f"phone.{name} has the number {phone.number}: such a call would come round to us or to the public's operators",
                "Give it the number that the other side has for this.",
            )


def _plain(number: str) -> str:
    """A national number without prefixes: +44 101 and 0101 are 101."""
    for prefix in _COUNTRY:
        number = number.removeprefix(prefix)
    return number.removeprefix("+").lstrip("0")


def _emergency_key_is_no_choice(configuration: Configuration) -> Iterator[Contradiction]:
    if configuration.emergency_queue is None:
        return
    for name, line in configuration.lines.items():
        key = configuration.emergency.key
        if key and key in line.choices:
            yield Contradiction(
                ("line", name, "menu", "choices", key),
                f"{key} is the emergency key, in every state of a call",
                "Choose another key.",
            )


def _prompts_name_the_key(configuration: Configuration) -> Iterator[Contradiction]:
    """Several prompts of ours say "press nine"."""
    if configuration.emergency.key not in ("9", ""):
        yield Contradiction(
            ("emergency", "key"),
            'prompts of ours say "press nine" (dialplans/prompts/manifest.toml)',
            f"Record those that do anew, with key {configuration.emergency.key}, before going live.",
            Level.WARNING,
        )


RULES: tuple[Rule, ...] = (
    _prompts_name_the_key,
    _emergency_is_answered_by_a_human,
    _nothing_stands_in_front_of_999,
    _emergency_has_queues_of_its_own,
    _only_the_emergency_key_leads_to_999,
    _emergency_names_known_things,
    _escalation_goes_up,
    _enough_agents_to_keep_free,
    _somebody_is_rung_in_the_end,
    _buddy_is_another_force,
    _test_lines_ring_test_phones,
    _we_do_not_call_ourselves,
    _emergency_key_is_no_choice,
)
