"""A small site for the adapter's tests."""

from edge.core.model import Agent, Answer, Line, Phone, PhoneKind, Policy, Tier

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
    },
    queues={},
    classes={},
    agents={"1001": Agent(number="1001", name="Ada", skills={})},
    phones={
        "phone1": Phone(name="phone1"),
        "far": Phone(name="far", kind=PhoneKind.TRUNK, trunk="trunk", number="01632960500"),
    },
)
