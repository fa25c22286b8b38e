"""The control room of the simulator: everything that a site can decide, with short times, so that a night is soon over."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from edge.core.model import Announcements, Choice, Emergency, Menu, Policy, Queue, Relaxation
from edge.core.promise import Callbacks, First, Plan, TaskKind, Tasks
from tests.core.callbacks import SmallPlan
from tests.core.room import line, policy_of

AGENTS = (
    "ann 101 999",
    "bob 101=2 welsh 999",
    "cat 101 999=2",
    "dai 101=2 999 welsh",
    "sue 101=3 supervisor",
)
LINES_OF_101 = ("101", "101", "101", "vulnerable", "desk", "told")
SENT_BACK_TO = (None, "101", "told", "desk", "nowhere", "999")


def plan_of(dice: Random) -> Plan:
    """How call-backs are offered: soon, and to many."""
    return Plan(
        offer_above_seconds=10.0,
        offer_below_seconds=5.0,
        offer_every_seconds=30.0,
        handling_seconds=30.0,
        first=First.CALLER if dice.random() < 0.25 else First.AGENT,
        attempts=3,
        spacing_seconds=15.0,
        keep_place=dice.random() < 0.8,
        ring_seconds=15.0,
        age_alarm_seconds=300.0,
    )


def policy_of_a_night(dice: Random) -> Policy:
    """The same people and lines each night; what is left to the force to decide is drawn."""
    plan = plan_of(dice)
    emergency = Emergency(
        queue="999",
        buddy_phone="elsewhere",
        break_wrap_up=dice.random() < 0.5,
        keep_free=1 if dice.random() < 0.2 else 0,
    )
    policy = policy_of(
        *AGENTS,
        emergency=emergency,
        callbacks=Callbacks(
            trunk="gateway",
            show_number="01632960100",
            idle_agents=dice.choice((0, 0, 1)),
            network_failures=3,
            trunk_rest_maximum_seconds=20.0,
            per_number=20,
        ),
        destinations=SmallPlan(),
        tasks=Tasks(
            abandoned_101_after_seconds=60.0,
            offered=tuple(TaskKind) if dice.random() < 0.7 else (TaskKind.LOST,),
            again_seconds=30.0,
            dial_seconds=15.0,
        ),
        missed_offers_maximum=3,
    )
    queues = (
        replace(policy.queues["101"], callback=plan, wrap_up_seconds=6.0),
        replace(policy.queues["999"], wrap_up_seconds=10.0),
        Queue(
            name="desk",
            skills=("101",),
            limit=4,
            maximum_wait_seconds=50.0,
            overflow_queue="told",
            callback=plan,
            wrap_up_seconds=3.0,
            announcements=Announcements(
                every_seconds=9.0, prompt="patience", position=True, expected_wait=True
            ),
        ),
        Queue(
            name="told",
            skills=("101", "welsh"),
            maximum_wait_seconds=80.0,
            overflow_phone="elsewhere",
            wrap_up_seconds=0.0,
            relaxations=(Relaxation(after_seconds=15.0, skills=("101",), prompt="no-welsh"),),
        ),
    )
    menu = Menu(
        prompt="menu",
        choices={"1": Choice(queue="told", greeting="thanks"), "2": Choice(priority_class="vulnerable")},
    )
    lines = (line("desk", "desk", greeting="welcome", menu=menu), line("told", "told", language="cy"))
    shorter = {
        name: replace(known, dead_man_seconds=3.0 if name == "999" else 15.0)
        for name, known in policy.lines.items()
    }
    return replace(
        policy,
        queues=dict(policy.queues) | {queue.name: queue for queue in queues},
        lines=shorter | {item.name: item for item in lines},
    )
