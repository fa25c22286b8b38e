"""What must hold so that call-backs can be promised and kept: a trunk and a number to show, free keys, rings long enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edge.config.findings import Level
from edge.config.model import CALLBACK_GREETING, Configuration, LineSection
from edge.config.position import KeyPath
from edge.config.rules import Contradiction, Rule, unknown
from edge.config.sections import CallbackPlanSection
from edge.destinations import ALLOWED, SiteDestinations, is_never_dialled, same_number

SHORTEST_RING_SECONDS = 15.0
"""Ofcom, persistent misuse: an unanswered call rings for so long before it is given up."""
_SHOWN = SiteDestinations(allow=(*ALLOWED, "+448"), crown_dependencies=True)
"""Numbers that anybody can ring back without harm."""


def _plans(configuration: Configuration) -> Mapping[str, CallbackPlanSection]:
    """By queue, those that are in force."""
    return {name: queue.plan for name, queue in configuration.queues.items() if queue.plan}


def _callbacks_can_be_made(configuration: Configuration) -> Iterator[Contradiction]:
    plans = _plans(configuration)
    if configuration.callback is None:
        for name in plans:
            yield Contradiction(
                ("queue", name, "callback"),
                "there is no [callback]: through which trunk are people rung, and which number do they see?",
                'Add [callback] with trunk = "..." and show_number = "...", or enabled = false here.',
            )
    elif not any(queue.callback for queue in configuration.queues.values()):
        yield Contradiction(
            ("callback",),
            "no queue offers call-backs",
            "Give a queue of 101 a table callback, or leave this out.",
            Level.WARNING,
        )


def _plans_hang_together(configuration: Configuration) -> Iterator[Contradiction]:
    classes: dict[KeyPath, str | None] = {}
    for name, plan in _plans(configuration).items():
        at: KeyPath = ("queue", name, "callback")
        classes |= {(*at, "classes", index): given for index, given in enumerate(plan.classes or ())}
        if plan.offer_below_seconds > plan.offer_above_seconds:
            yield Contradiction(
                (*at, "offer_below_seconds"),
                f"{plan.offer_below_seconds:g} is above offer_above_seconds = {plan.offer_above_seconds:g}: offering would turn "
                "on and off with every caller",
                "Give a time below it.",
            )
        if plan.ring_seconds < SHORTEST_RING_SECONDS:
            yield Contradiction(
                (*at, "ring_seconds"),
                f"{plan.ring_seconds:g} s is too short to reach a phone, and shorter than Ofcom accepts",
                f"At least {SHORTEST_RING_SECONDS:g}.",
            )
        skills = set(configuration.queues[name].skills)
        able = sum(agent.skills.keys() >= skills for agent in configuration.agents.values())
        if plan.agents_minimum > able:
            yield Contradiction(
                (*at, "agents_minimum"),
                f"only {able} agents have the skills of this queue: a call-back would never be offered",
                f"At most {able}, or give more agents these skills.",
                Level.WARNING,
            )
    yield from unknown("class", classes, configuration.class_names)


def _the_accepting_key_is_free(configuration: Configuration) -> Iterator[Contradiction]:
    given, plans = configuration.callback, _plans(configuration)
    if given is None or not plans:
        return
    if configuration.emergency_queue is not None and given.key == configuration.emergency.key:
        yield Contradiction(
            ("callback", "key"),
            f"{given.key} is the emergency key, in every state of a call",
            "Choose another key.",
        )
    for name, line in configuration.lines.items():
        if given.key in line.choices and (queues := _reached(configuration, line) & plans.keys()):
            yield Contradiction(
                ("callback", "key"),
                f"{given.key} is a choice of line.{name}.menu, whose callers may be offered a call-back in queue {min(queues)}",
                "Choose another key here or there.",
            )


def _reached(configuration: Configuration, line: LineSection) -> set[str]:
    """Every queue that callers of this line may wait in without a handler: by the line, its menu, and overflow."""
    ways = [line.queue, *(choice.queue for choice in line.choices.values() if choice.queue)]
    reached: set[str] = set()
    while ways:
        name = ways.pop()
        queue = configuration.queues.get(name)
        if queue is not None and name not in reached:
            reached.add(name)
            ways += [queue.overflow_queue] if queue.overflow_queue else []
    return reached


def _the_number_shown_can_be_rung(configuration: Configuration) -> Iterator[Contradiction]:
    given = configuration.callback
    if given is None:
        return
    key: KeyPath = ("callback", "show_number")
    judged = _SHOWN.judge(given.show_number)
    if not judged.is_allowed:
        yield Contradiction(
            key,
            f"cannot be shown: {judged.why}",
            "Give a whole number of yours that anybody can ring: geographic, 03, 080 or mobile.",
        )
        return
    lines = {
        n: line for n, line in configuration.lines.items() if same_number(line.number, given.show_number)
    }
    if not lines:
        yield Contradiction(
            key,
            "no line has this number: who rings back what they saw on their phone reaches nobody",
            f'Add a line with it: number, tier = "101", queue, greeting = "{CALLBACK_GREETING}".',
            Level.WARNING,
        )
    for name, line in lines.items():
        yield from _it_is_answered_neutrally(configuration, name, line)


def _it_is_answered_neutrally(
    configuration: Configuration, name: str, line: LineSection
) -> Iterator[Contradiction]:
    """Anybody may hold the phone that was rung: what they hear must not say who called it."""
    if line.emergency:
        yield Contradiction(
            ("callback", "show_number"),
            f"is the number of line.{name}, a 999 line",
            "Show a number of a 101 line.",
        )
        return
    mend = f'greeting = "{CALLBACK_GREETING}".'
    if line.greeting is None:
        yield Contradiction(
            ("line", name, "greeting"),
            "who rings back the number that we show hears nothing before the music",
            mend,
            Level.WARNING,
        )
    elif any(other.greeting == line.greeting for n, other in configuration.lines.items() if n != name):
        yield Contradiction(
            ("line", name, "greeting"),
            "who rings back the number that we show hears the greeting of another line, and anybody may hold their phone: it "
            "must not say who called",
            mend,
            Level.WARNING,
        )


def _what_is_never_dialled_is_not_allowed(configuration: Configuration) -> Iterator[Contradiction]:
    given = configuration.callback
    for index, beginning in enumerate(given.allow if given else ()):
        if is_never_dialled(beginning):
            yield Contradiction(
                ("callback", "allow", index),
                f"numbers that begin with {beginning} are never dialled: premium, revenue-sharing, personal or pagers",
                "Leave it out.",
            )


def _limits_leave_room(configuration: Configuration) -> Iterator[Contradiction]:
    given, channels_101 = configuration.callback, configuration.capacity.channels_101
    if given is None:
        return
    if given.trunk_rest_maximum_seconds < given.trunk_rest_seconds:
        yield Contradiction(
            ("callback", "trunk_rest_maximum_seconds"),
            f"is below trunk_rest_seconds = {given.trunk_rest_seconds:g}",
            "The rest grows from the one to the other.",
        )
    if channels_101 and given.channels >= channels_101:
        yield Contradiction(
            ("callback", "channels"),
            f"callers are refused at channels_101 = {channels_101} already: none of them is kept free of call-backs",
            f"Below {channels_101}.",
            Level.WARNING,
        )


RULES: tuple[Rule, ...] = (
    _callbacks_can_be_made,
    _plans_hang_together,
    _the_accepting_key_is_free,
    _the_number_shown_can_be_rung,
    _what_is_never_dialled_is_not_allowed,
    _limits_leave_room,
)
