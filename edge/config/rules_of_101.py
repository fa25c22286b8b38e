"""What must hold so that 101 callers are served as the file says: names, ways from queue to queue, hours, announcements."""

from __future__ import annotations

from collections.abc import Iterator

from edge.config.findings import Level
from edge.config.model import Configuration
from edge.config.position import KeyPath
from edge.config.rules import Contradiction, Rule, dotted, repeated, unknown
from edge.core.model import Answer, PhoneKind


def _classes_and_queues_are_known(configuration: Configuration) -> Iterator[Contradiction]:
    queues: dict[KeyPath, str | None] = {}
    classes: dict[KeyPath, str | None] = {}
    for name, line in configuration.lines.items():
        queues["line", name, "queue"] = line.queue
        classes["line", name, "class"] = line.priority_class
        for key, choice in line.choices.items():
            at = ("line", name, "menu", "choices", key)
            queues[*at, "queue"], classes[*at, "class"] = choice.queue, choice.priority_class
    for name, queue in configuration.queues.items():
        queues["queue", name, "overflow_queue"] = queue.overflow_queue
    for index, closed in enumerate(configuration.incident.closed_queues):
        queues["incident", "closed_queues", index] = closed
    for index, target in enumerate(configuration.triage.queues):
        queues["triage", "queues", index] = target
    if configuration.repeat:
        classes["repeat", "class"] = configuration.repeat.priority_class
    yield from unknown("queue", queues, configuration.queues)
    yield from unknown("class", classes, configuration.class_names)


def _what_is_said_can_be_heard(configuration: Configuration) -> Iterator[Contradiction]:
    for name, line in configuration.lines.items():
        if line.answered is Answer.BY_AGENT and not line.emergency:
            for key, given in (("greeting", line.greeting), ("menu", line.menu)):
                if given is not None:
                    yield Contradiction(
                        ("line", name, key),
                        f"nobody can hear a {key} on a line that is answered by an agent",
                        f'Leave {key} out, or answer = "on_arrival".',
                    )
    said_at = {("queue", name): queue.announcements for name, queue in configuration.queues.items()}
    said_at |= {("class", name): section.announcements for name, section in configuration.classes.items()}
    for at, said in said_at.items():
        if said and not (said.prompt or said.position or said.expected_wait):
            yield Contradiction(
                (*at, "announcements"),
                "nothing is announced",
                "Leave it out, or give prompt, position or expected_wait.",
            )


def _queues_can_be_served(configuration: Configuration) -> Iterator[Contradiction]:
    present = {skill for agent in configuration.agents.values() for skill in agent.skills}
    for name, queue in configuration.queues.items():
        for skill in queue.skills:
            if skill not in present:
                yield Contradiction(
                    ("queue", name, "skills"),
                    f'no agent has the skill "{skill}"',
                    f"Give it to an agent, or leave it out. Known: {', '.join(sorted(present)) or 'none'}.",
                    Level.WARNING,
                )


def _relaxations_increase(configuration: Configuration) -> Iterator[Contradiction]:
    for name, queue in configuration.queues.items():
        times = [relaxation.after_seconds for relaxation in queue.relax]
        if sorted(set(times)) != times:
            yield Contradiction(
                ("queue", name, "relax"),
                "after_seconds does not increase from one relaxation to the next",
                "Order them by after_seconds.",
            )


def _overflow_leads_somewhere(configuration: Configuration) -> Iterator[Contradiction]:
    phones: dict[KeyPath, str | None] = {
        ("queue", name, "overflow_phone"): queue.overflow_phone
        for name, queue in configuration.queues.items()
    }
    yield from unknown("phone", phones, configuration.phones)
    for key, phone in phones.items():
        known = configuration.phones.get(phone or "")
        if known is not None and known.kind is not PhoneKind.TRUNK:
            yield Contradiction(
                key,
                f'"{phone}" is a phone of ours: callers overflow to a number behind a trunk',
                f'In [phone.{phone}]: kind = "trunk", trunk and number.',
            )
    for name, queue in configuration.queues.items():
        overflows = [key for key in ("overflow_queue", "overflow_phone") if getattr(queue, key) is not None]
        if overflows and queue.hours is None and queue.limit is None and queue.maximum_wait_seconds is None:
            yield Contradiction(
                ("queue", name, overflows[0]),
                "nothing ever overflows from this queue",
                "Give it hours, limit or maximum_wait_seconds, or leave this out.",
                Level.WARNING,
            )


def _overflow_goes_round_in_no_circle(configuration: Configuration) -> Iterator[Contradiction]:
    told: set[str] = set()
    for start in configuration.queues:
        way = [start]
        while (queue := configuration.queues.get(way[-1])) and queue.overflow_queue is not None:
            if queue.overflow_queue == start and not told.intersection(way):
                yield Contradiction(
                    ("queue", way[-1], "overflow_queue"),
                    f"callers would go round in a circle: {', '.join([*way, start])}",
                    "Let one of these queues overflow elsewhere.",
                )
                told.update(way)
            if queue.overflow_queue in way:
                break
            way.append(queue.overflow_queue)


def _hours_open_sometimes(configuration: Configuration) -> Iterator[Contradiction]:
    wanted: dict[KeyPath, str | None] = {
        ("queue", name, "hours"): queue.hours for name, queue in configuration.queues.items()
    }
    wanted |= {
        ("queue", name, "callback", "hours"): queue.plan.hours
        for name, queue in configuration.queues.items()
        if queue.plan
    }
    yield from unknown("table of hours", wanted, configuration.hours)
    for name, hours in configuration.hours.items():
        if not hours.timetable.ever_open:
            yield Contradiction(
                ("hours", name, "week"),
                "it is never open",
                "Give hours to a day, or leave the queue out of use.",
            )
        if hours.bank_holidays is None and "on_bank_holidays" in hours.model_fields_set:
            yield Contradiction(
                ("hours", name, "on_bank_holidays"),
                "no bank holidays are regarded",
                'Say whose: bank_holidays = "england".',
            )


def _what_is_dialled_by_place_is_named_once(configuration: Configuration) -> Iterator[Contradiction]:
    lists = {
        ("not_ready", "reasons"): configuration.not_ready.reasons,
        ("wrap_up", "codes"): configuration.wrap_up.codes,
        ("triage", "queues"): configuration.triage.queues,
    }
    for key, values in lists.items():
        places: dict[KeyPath, str] = {(*key, index): value for index, value in enumerate(values)}
        for second, first, value in repeated(places):
            yield Contradiction(second, f'{dotted(first)} is "{value}" too', "Keep one of the two.")


RULES: tuple[Rule, ...] = (
    _classes_and_queues_are_known,
    _what_is_said_can_be_heard,
    _queues_can_be_served,
    _relaxations_increase,
    _overflow_leads_somewhere,
    _overflow_goes_round_in_no_circle,
    _hours_open_sometimes,
    _what_is_dialled_by_place_is_named_once,
)
