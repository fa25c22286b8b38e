"""Facts as a ledger would have them, said one after the other; each is checked against the engine's own fold."""

from __future__ import annotations

from edge.core import facts
from edge.core.model import (
    CallOutcome,
    ClassSource,
    ClockState,
    Instant,
    OfferOutcome,
    PhoneState,
    Side,
    Stage,
    Supervision,
    TransferKind,
)
from edge.core.state import State, apply
from edge.views.calls import CallFold
from tests.views.room import NOON_UTC_US

START = Instant(1_000_000_000_000, NOON_UTC_US)


class Tape:
    """What has been said so far, and both folds of it."""

    def __init__(self) -> None:
        self.now = START
        self.entries: list[facts.Entry] = []
        self.state = State()
        self.fold = CallFold()
        self.say(facts.DaemonStarted(version="1", policy_digest="", boot_id="boot"))
        self.say(facts.SwitchRestored(calls_adopted=0, calls_kept=0, calls_missing=0))
        for number in ("4001", "4002", "4900"):
            self.say(facts.PhoneChanged(phone=f"phone{number}", state=PhoneState.IDLE))
            self.say(facts.AgentSignedIn(agent=number, phone=f"phone{number}"))

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now = self.now.plus(seconds)

    def say(self, fact: facts.Fact) -> None:
        """Record it now. Raises `IllegalFactError` when no ledger could have it there."""
        entry = facts.Entry(
            sequence=len(self.entries) + 1,
            at=self.now,
            fact=fact,
            reason="because",
            clock=ClockState.SYNCHRONISED,
        )
        apply(self.state, entry)
        self.fold.add(entry)
        self.entries.append(entry)
        held = {call_id: call.state for call_id, call in self.state.calls.items()}
        assert held == {name: call.state for name, call in self.fold.calls.items() if call.ended_at is None}

    def arrive(
        self, call_id: str, line: str = "main", queue: str = "general", tier: int = 1, **more: bool | str
    ) -> None:
        """A caller joins."""
        self.say(
            facts.CallArrived(
                call_id=call_id,
                leg_id=call_id,
                line=line,
                number_withheld=False,
                adopted=False,
                caller_number="+441632960123",
                **more,  # type: ignore[arg-type]
            )
        )
        self.say(
            facts.CallQueued(
                call_id=call_id, queue=queue, priority_class="standard", tier=tier, queued_at=self.now
            )
        )

    def offer(self, call_id: str, agent: str) -> str:
        """The call is offered; the offer's id."""
        call = self.state.calls[call_id]
        offer_id = f"{call_id}.{call.offers_made + 1}"
        self.say(
            facts.OfferMade(
                offer_id=offer_id,
                call_id=call_id,
                agent=agent,
                phone=f"phone{agent}",
                ring_seconds=15.0,
                waited_seconds=0.0,
            )
        )
        return offer_id

    def connect(self, call_id: str, agent: str) -> str:
        """Offered and answered within the moment; the offer's id."""
        offer_id = self.offer(call_id, agent)
        self.say(facts.OfferAnswered(offer_id=offer_id, call_id=call_id, agent=agent))
        waited_seconds = self.now.since(self.state.calls[call_id].queued_at)
        self.say(
            facts.CallConnected(
                call_id=call_id, offer_id=offer_id, agent=agent, waited_seconds=waited_seconds
            )
        )
        return offer_id

    def leave(self, offer_id: str, agent: str, wrap_up_seconds: float = 30.0) -> None:
        """The agent's leg of a conversation ends, and the wrap-up begins."""
        call_id = offer_id.rpartition(".")[0]
        ended = facts.OfferEnded(
            offer_id=offer_id, call_id=call_id, agent=agent, outcome=OfferOutcome.ANSWERED, cause="16"
        )
        self.say(ended)
        self.say(facts.WrapUpStarted(agent=agent, call_id=call_id, seconds=wrap_up_seconds))

    def end(
        self, call_id: str, outcome: CallOutcome, stage: Stage = Stage.TALKING, cause: str = "16"
    ) -> None:
        """The call is over."""
        call = self.state.calls[call_id]
        talked = 0.0 if call.connected_at is None else self.now.since(call.connected_at)
        self.say(
            facts.CallEnded(
                call_id=call_id,
                outcome=outcome,
                stage=stage,
                side=Side.CALLER,
                cause=cause,
                waited_seconds=(call.connected_at or self.now).since(call.queued_at),
                talked_seconds=talked,
                agent=call.agent,
            )
        )


def triaged() -> Tape:
    """A call on three desks: 5 s to the first, 10 s there, 20 s to the second, 30 s there, and passed on from it."""
    tape = Tape()
    tape.arrive("c1", language="cy")
    tape.say(facts.AnnouncementStarted(call_id="c1", prompt="menu"))
    tape.wait(2)
    tape.say(facts.AnnouncementEnded(call_id="c1", prompt="menu", completed=False))
    tape.say(
        facts.CallClassified(
            call_id="c1",
            queue="burglary",
            priority_class="crime",
            language="cy",
            source=ClassSource.MENU,
            detail="key 1",
        )
    )
    tape.wait(3)
    first = tape.connect("c1", "4001")
    tape.wait(10)
    tape.say(facts.CallSentBack(call_id="c1", agent="4001", queue="general"))
    tape.leave(first, "4001")
    tape.wait(20)
    second = tape.connect("c1", "4002")
    tape.wait(10)
    tape.say(facts.AssistAsked(agent="4002", call_id="c1"))
    listening = {"supervisor": "4900", "agent": "4002", "call_id": "c1", "mode": Supervision.LISTEN}
    tape.say(facts.SupervisionBegan(**listening))  # type: ignore[arg-type]
    tape.wait(10)
    tape.say(facts.SupervisionEnded(**listening))  # type: ignore[arg-type]
    tape.wait(10)
    tape.say(
        facts.CallPassedOn(
            call_id="c1", agent="4002", kind=TransferKind.BLIND, target="+441632960999", to_agent=None
        )
    )
    tape.leave(second, "4002")
    tape.say(facts.WrapUpCoded(agent="4002", call_id="c1", code="crime"))
    tape.wait(60)
    tape.say(facts.WrapUpEnded(agent="4001"))
    tape.say(facts.WrapUpEnded(agent="4002"))
    tape.end("c1", CallOutcome.ANSWERED)
    tape.wait(5)
    tape.say(facts.CallAnnotated(call_id="c1", kind="incident", value="POL-1", state="", by="ann"))
    tape.say(
        facts.CallAnnotated(call_id="c1", kind="recording", value="rec-7", state="failed", by="recorder")
    )
    return tape
