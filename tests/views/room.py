"""A control room for tests: the real engine, a clock that is moved by hand, and short words for what happens."""

from __future__ import annotations

from edge.core import facts, inputs
from edge.core.engine import Engine
from edge.core.model import (
    Agent,
    Answer,
    ClockState,
    Emergency,
    Instant,
    Line,
    Phone,
    PhoneState,
    Policy,
    PriorityClass,
    Queue,
    Refusal,
    Side,
    Tier,
)

NOON_UTC_US = 1_795_348_800_000_000
"""2026-11-22T12:00:00Z."""


def policy() -> Policy:
    """A 101 and a 999 line, three agents who take both."""
    return Policy(
        lines={
            "main": Line(
                name="main",
                number="101",
                queue="general",
                tier=Tier.ROUTINE,
                priority_class="standard",
                answer=Answer.ON_ARRIVAL,
                greeting="greeting-101",
            ),
            "emergency": Line(
                name="emergency",
                number="999",
                queue="emergency",
                tier=Tier.EMERGENCY,
                priority_class="standard",
                answer=Answer.BY_AGENT,
            ),
        },
        queues={
            "general": Queue(name="general", skills=("101",), target_seconds=10.0),
            "emergency": Queue(name="emergency", skills=("999",), target_seconds=10.0),
        },
        classes={"standard": PriorityClass(name="standard")},
        agents={
            f"400{n}": Agent(
                number=f"400{n}", name=f"Agent {n}", skills={"101": 1, "999": 1}, phone=f"agent{n}"
            )
            for n in (1, 2, 3)
        },
        phones={f"agent{n}": Phone(name=f"agent{n}") for n in (1, 2, 3)},
        emergency=Emergency(queue="emergency"),
    )


class Room:
    """Everything that happens is kept in `entries`."""

    def __init__(self, site: Policy | None = None) -> None:
        self.engine = Engine(site or policy())
        self.now = Instant(1_000_000_000_000, NOON_UTC_US)
        self.entries: list[facts.Entry] = []
        self.calls = 0
        self.give(inputs.Started(version="0.1.0", policy_digest="d", boot_id="boot"))
        self.give(inputs.ClockSeen(state=ClockState.SYNCHRONISED, error_us=10))
        self.give(inputs.Reconciled())

    def give(self, given: inputs.Input) -> None:
        """One step now."""
        self.entries += self.engine.step(given, self.now).entries

    def wait(self, seconds: float) -> None:
        """Time passes, and every deadline in it comes."""
        until = self.now.plus(seconds)
        while (at := self.engine.next_deadline()) is not None and at.monotonic_ns <= until.monotonic_ns:
            self.now = at if at.monotonic_ns > self.now.monotonic_ns else self.now
            self.give(inputs.Woken())
        self.now = until

    def sign_in(self, agent: str) -> None:
        """At the usual phone, which is idle."""
        phone = f"agent{agent[-1]}"
        self.give(inputs.PhoneSeen(phone=phone, state=PhoneState.IDLE))
        self.give(inputs.AgentSeen(agent=agent, phone=phone))

    def sign_out(self, agent: str) -> None:
        """Leave."""
        self.give(inputs.AgentSeen(agent=agent, phone=None))

    def arrive(
        self, line: str = "main", number: str | None = "+441632960123", name: str | None = None
    ) -> str:
        """A caller; the id of the call."""
        self.calls += 1
        call_id = f"20261122T120000Z-{self.calls}"
        self.give(
            inputs.CallPresented(
                call_id=call_id,
                leg_id=f"leg-{self.calls}",
                line=line,
                caller_number=number,
                caller_name=name,
                number_withheld=number is None,
            )
        )
        return call_id

    def offer_of(self, call_id: str) -> str | None:
        """The newest live offer of this call."""
        call = self.engine.state.calls.get(call_id)
        return call.live_offers[-1] if call is not None and call.live_offers else None

    def ring(self, call_id: str) -> None:
        """The offered phone rings."""
        if (offer_id := self.offer_of(call_id)) is not None:
            self.give(inputs.PhoneRang(offer_id=offer_id))

    def refuse(self, call_id: str, refusal: Refusal = Refusal.REJECTED) -> None:
        """The agent does not want it."""
        if (offer_id := self.offer_of(call_id)) is not None:
            self.give(
                inputs.PhoneGone(offer_id=offer_id, refusal=refusal, side=Side.AGENT, cause="486 Busy Here")
            )

    def answer(self, call_id: str) -> None:
        """The agent answers, and the pair is joined."""
        if (offer_id := self.offer_of(call_id)) is not None:
            self.give(inputs.PhoneAnswered(offer_id=offer_id))
            self.give(inputs.PairJoined(call_id=call_id, offer_id=offer_id))

    def hang_up(self, call_id: str) -> None:
        """The caller goes, and whatever leg of an agent is left ends."""
        self.give(inputs.CallerGone(call_id=call_id, side=Side.CALLER, cause="normal clearing"))
        for offer_id in tuple(self.engine.state.offers):
            if offer_id.startswith(call_id + "."):
                self.give(
                    inputs.PhoneGone(
                        offer_id=offer_id,
                        refusal=Refusal.CLEARED,
                        side=Side.SYSTEM,
                        cause="normal clearing",
                    )
                )


def busy_shift() -> tuple[Room, dict[str, str]]:
    """A shift with one call of each fate; call ids by what became of them."""
    room = Room()
    for agent in ("4001", "4002"):
        room.sign_in(agent)
    ids = {"answered": room.arrive()}
    room.wait(0.1)
    room.ring(ids["answered"])
    room.wait(2)
    room.answer(ids["answered"])
    talking_offer = room.engine.state.calls[ids["answered"]].claimed_by or ""
    room.wait(5)
    room.give(inputs.HoldChanged(offer_id=talking_offer, held=True))
    room.wait(4)
    room.give(inputs.HoldChanged(offer_id=talking_offer, held=False))
    ids["rejected"] = room.arrive(number="+441632960456", name="Alex Example")
    room.wait(0.1)
    room.ring(ids["rejected"])
    room.wait(1)
    room.refuse(ids["rejected"])
    room.wait(3)
    room.hang_up(ids["rejected"])
    room.hang_up(ids["answered"])
    room.wait(31)
    room.sign_out("4002")
    ids["talking"] = room.arrive(line="emergency", number="+447700900789")
    room.ring(ids["talking"])
    room.wait(1)
    room.answer(ids["talking"])
    ids["fallback"] = room.arrive(number="+441632960555")
    room.give(inputs.FallbackTook(call_id=ids["fallback"], line="main", leg_id="leg-f", why="dead-man"))
    ids["waiting"] = room.arrive(number=None)
    room.wait(12)
    return room, ids
