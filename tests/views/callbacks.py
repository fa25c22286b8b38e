"""Call-backs on a tape: promised, off the line, tried, reached, moved, and the tasks that come of them."""

from __future__ import annotations

from edge.core import facts
from edge.core.model import CallOutcome, OfferOutcome, Side, Stage
from edge.core.promise import Asked, AttemptOutcome, Judgement, TaskKind
from tests.views.tape import Tape

NUMBER = "+447700900123"


class CallbackTape(Tape):
    """With short words for what happens to a call-back."""

    def promise(
        self, call_id: str, number: str = NUMBER, *, keyed: bool = False, into: str | None = None
    ) -> None:
        """Offered, accepted, answered and promised, 1 s each."""
        self.say(
            facts.WaitPredicted(
                call_id=call_id, low_seconds=120.0, high_seconds=300.0, position=4, agents=2, measured=True
            )
        )
        self.say(facts.CallbackOffered(call_id=call_id))
        self.wait(1)
        self.say(facts.CallbackAsked(call_id=call_id, asked=Asked.KEY if keyed else Asked.NUMBER))
        if keyed:
            self.say(facts.CallbackNumberKeyed(call_id=call_id, judgement=Judgement.ALLOWED, number=number))
        self.wait(1)
        self.say(facts.CallbackAsked(call_id=call_id, asked=Asked.SAFE))
        self.wait(1)
        self.say(facts.CallbackPromised(call_id=call_id, keyed=keyed, into=into, number=number))
        self.say(facts.CallbackConfirmed(call_id=call_id))

    def off_the_line(self, call_id: str) -> None:
        """The caller hangs up after the confirmation."""
        self.say(facts.CallbackWaits(call_id=call_id, side=Side.CALLER, cause="16"))

    def reserve(self, call_id: str, agent: str) -> str:
        """An agent's phone rings and is answered; the offer's id."""
        offer_id = self.offer(call_id, agent)
        self.say(facts.OfferAnswered(offer_id=offer_id, call_id=call_id, agent=agent))
        return offer_id

    def dial(self, call_id: str, agent: str, offer_id: str | None) -> int:
        """The intent, the dialling, and the person's phone rings 2 s later; the number of the attempt."""
        promise = self.state.calls[call_id].callback
        assert promise is not None
        attempt = promise.attempt + 1
        self.say(
            facts.CallbackAttempted(
                call_id=call_id,
                attempt=attempt,
                offer_id=offer_id,
                agent=agent,
                ring_seconds=25.0,
                unrung_seconds=12.0,
            )
        )
        self.say(facts.CallbackDialled(call_id=call_id, attempt=attempt))
        self.wait(2)
        self.say(facts.CallbackRang(call_id=call_id, attempt=attempt))
        return attempt

    def pair(self, call_id: str, agent: str, offer_id: str, attempt: int) -> None:
        """The person answers and is connected at once."""
        self.say(facts.CallbackAnswered(call_id=call_id, attempt=attempt, leg_id=f"p{attempt}"))
        self.say(
            facts.CallConnected(
                call_id=call_id,
                offer_id=offer_id,
                agent=agent,
                waited_seconds=self.now.since(self.state.calls[call_id].queued_at),
            )
        )

    def fail(
        self, call_id: str, attempt: int, outcome: AttemptOutcome, offer_id: str | None, agent: str
    ) -> None:
        """The attempt is over; the agent is let go."""
        self.say(
            facts.CallbackAttemptEnded(
                call_id=call_id,
                attempt=attempt,
                outcome=outcome,
                counted=True,
                cause="20",
                not_before=self.now.plus(120),
            )
        )
        if offer_id is not None:
            self.say(
                facts.OfferEnded(
                    offer_id=offer_id, call_id=call_id, agent=agent, outcome=OfferOutcome.ANSWERED, cause="16"
                )
            )

    def open_task(
        self, call_id: str, kind: TaskKind, *, emergency: bool = False, waited_seconds: float = 60
    ) -> None:
        """It is a human's work now."""
        self.say(
            facts.TaskOpened(
                task_id=call_id,
                call_id=call_id,
                kind=kind,
                detail="nobody spoke with them",
                waited_seconds=waited_seconds,
                rang_seconds=4.0,
                attempts=1,
                calls_in_day=2,
                emergency=emergency,
                number_withheld=False,
                number=NUMBER,
            )
        )


def kept(*, wait_seconds: float = 60.0, off_line_seconds: float = 600.0) -> CallbackTape:
    """Promised, rung in vain once, and reached at the second attempt; talked for 100 s."""
    tape = CallbackTape()
    tape.arrive("c1")
    tape.wait(wait_seconds)
    tape.promise("c1")
    tape.wait(7)
    tape.off_the_line("c1")
    tape.wait(off_line_seconds)
    first = tape.reserve("c1", "4001")
    attempt = tape.dial("c1", "4001", first)
    tape.wait(25)
    tape.fail("c1", attempt, AttemptOutcome.NO_ANSWER, first, "4001")
    tape.wait(120)
    second = tape.reserve("c1", "4002")
    attempt = tape.dial("c1", "4002", second)
    tape.wait(3)
    tape.pair("c1", "4002", second, attempt)
    tape.wait(100)
    tape.leave(second, "4002")
    tape.end("c1", CallOutcome.ANSWERED)
    return tape


def unreached() -> CallbackTape:
    """Rung once in vain, and then a task."""
    tape = CallbackTape()
    tape.arrive("c1")
    tape.wait(30)
    tape.promise("c1", keyed=True)
    tape.off_the_line("c1")
    tape.wait(300)
    offer_id = tape.reserve("c1", "4001")
    attempt = tape.dial("c1", "4001", offer_id)
    tape.wait(20)
    tape.fail("c1", attempt, AttemptOutcome.BUSY, offer_id, "4001")
    tape.open_task("c1", TaskKind.UNREACHED_CALLBACK, waited_seconds=355)
    tape.end("c1", CallOutcome.UNREACHED, Stage.CALLBACK, "the attempts are used up")
    return tape
