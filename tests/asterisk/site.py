"""A small site for the adapter's tests."""

from edge.core.model import Agent, Answer, Emergency, Line, Phone, PhoneKind, Policy, Queue, Tier

POLICY = Policy(
    lines={
        "routine": Line(
            name="routine",
            number="101",
            queue="routine",
            tier=Tier.ROUTINE,
            priority_class="standard",
            answer=Answer.ON_ARRIVAL,
            greeting="1",
        ),
        "emergency": Line(
            name="emergency",
            number="999",
            queue="emergency",
            tier=Tier.EMERGENCY,
            priority_class="standard",
            answer=Answer.BY_AGENT,
            dead_man_seconds=3.0,
        ),
        "second": Line(
            name="second",
            number="1018",
            queue="second",
            tier=Tier.ROUTINE,
            priority_class="standard",
            answer=Answer.BY_AGENT,
        ),
        "test": Line(
            name="test",
            number="5990",
            queue="emergency",
            tier=Tier.EMERGENCY,
            priority_class="standard",
            answer=Answer.BY_AGENT,
            test_phone="phone2",
        ),
    },
    queues={name: Queue(name=name, skills=()) for name in ("routine", "emergency", "second")},
    classes={},
    agents={
        "1001": Agent(number="1001", name="Ada", skills={}),
        "1002": Agent(number="1002", name="Bob", skills={}, supervisor=True),
    },
    phones={
        "phone1": Phone(name="phone1"),
        "phone2": Phone(name="phone2"),
        "far": Phone(name="far", kind=PhoneKind.TRUNK, trunk="trunk", number="01632960500"),
    },
    emergency=Emergency(queue="emergency", key="9"),
)
