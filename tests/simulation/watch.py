"""What is checked in a simulated night: after every step of the engine, at every command, at every start, and at the end.

Three truths are compared: what the engine holds (`State`), what is on the disk, and what is so in the switch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from copy import deepcopy

from edge.core import effects, facts, inputs
from edge.core.effects import Effect
from edge.core.engine import Engine, Step
from edge.core.inputs import Input
from edge.core.model import NANOSECONDS, CallOutcome, Instant, Policy, Tier
from edge.core.promising import CONFIRMATION
from edge.core.state import State, apply, replay
from edge.ledger.chain import verify_chain
from edge.ledger.store import SqlLedger
from edge.pbx.simulated import Switch
from edge.pbx.simulated.legs import Counts
from edge.ports import read_all
from edge.runtime import recall
from tests.core.invariants import check_all
from tests.simulation.virtual import SimulatedClock

COMPARED_EVERY = 25
"""The fold of the facts is compared with the live state after so many steps: it costs more than the step."""
STRANGE_SECONDS = 45.0
"""So long may a caller be unknown (until the dead-man, and late words), or a call without its caller."""
REMEMBERED = 400
"""Lines of what was heard and decided last, for the report of a failure."""


class Watch:
    """Raises AssertionError at the first broken promise."""

    def __init__(self, policy: Policy, switch: Switch, clock: SimulatedClock) -> None:
        self._policy = policy
        self._switch = switch
        self._clock = clock
        self._fold = State()
        self._steps = 0
        self._sequence_on_disk = 0
        self._promised_on_disk: set[str] = set()
        self._attempts_on_disk: set[tuple[str, int]] = set()
        self._rung_on_disk: set[str] = set()
        """Offers of tasks whose agent has asked for the person to be rung."""
        self._lost_with_switch: set[str] = set()
        self._arrived_on_disk: set[str] = set()
        self._heard_of: set[str] = set()
        """Calls that the living process was told of."""
        self._strange_since: dict[str, float] = {}
        self.unstored = 0
        """Calls of which a process heard that died before it could store anything: those still there were found again."""
        self.outcomes = Counts()
        self.recently: deque[str] = deque(maxlen=REMEMBERED)

    def _note(self, what: str) -> None:
        self.recently.append(f"{self._clock.now().monotonic_ns / NANOSECONDS - 1000:10.3f} {what}")

    # ------------------------------------------------------------------ as it happens

    def heard(self, given: Input) -> None:
        """An input is on its way to the engine."""
        match given:
            case inputs.CallPresented() | inputs.FallbackTook():
                self._heard_of.add(given.call_id)
            case inputs.Reconciled():
                self._heard_of |= {call.call_id for call in given.calls}
        what = "Reconciled" if isinstance(given, inputs.Reconciled) else str(given)
        self._note(f"<- {what[:200]}")

    def asked(self, effect: Effect, cause: int) -> None:
        """A command leaves the daemon: nothing is promised or dialled that a crash could make us forget."""
        self._note(f"-> {str(effect)[:200]}")
        match effect:
            case effects.Announce(prompt=prompt) if prompt == CONFIRMATION:
                assert effect.call_id in self._promised_on_disk, f"said before it was durable: {effect}"
            case effects.DialPerson():
                key = (effect.call_id, effect.attempt)
                assert key in self._attempts_on_disk, f"dialled before it was durable: {effect}"
            case effects.DialForTask():
                assert effect.offer_id in self._rung_on_disk, f"rung before it was durable: {effect}"

    def stored(self, entries: Sequence[facts.Entry]) -> None:
        """These are on disk."""
        for entry in entries:
            assert entry.sequence == self._sequence_on_disk + 1, "a hole in the ledger"
            self._sequence_on_disk = entry.sequence
            match entry.fact:
                case facts.CallArrived():
                    self._arrived_on_disk.add(entry.fact.call_id)
                case facts.CallbackPromised():
                    self._promised_on_disk.add(entry.fact.call_id)
                case facts.CallbackRevoked():
                    self._promised_on_disk.discard(entry.fact.call_id)
                case facts.TaskAttempted():
                    self._rung_on_disk.add(entry.fact.task_offer_id)
                case facts.CallbackAttempted():
                    self._attempts_on_disk.add((entry.fact.call_id, entry.fact.attempt))

    def arrived_on_disk(self) -> set[str]:
        """Calls of which the ledger has facts."""
        return self._arrived_on_disk

    def switch_died(self) -> None:
        """Whoever is on the line now is lost with it."""
        self._note("!! the switch dies")
        for caller in self._switch.callers.values():
            if self._policy.lines[caller.line].test_phone is None:
                self._lost_with_switch.add(caller.call_id)

    def stepped(self, engine: Engine, step: Step, now: Instant) -> None:
        """The engine has decided."""
        for entry in step.entries:
            self._note(f"   {entry.sequence} {str(entry.fact)[:160]}")
            apply(self._fold, entry)
        if not step.entries and step.reason:
            self._note(f"   ({step.reason[:160]})")
        check_all(engine, step, now)
        self._check_starvation(engine, step)
        self._steps += 1
        if self._steps % COMPARED_EVERY == 0:
            assert self._fold == engine.state, "the fold of the facts is not the live state"

    def compared(self, state: State | None) -> None:
        """The switch's callers and the engine's calls (None: it sees nothing now) differ only while words are on their way."""
        now = self._clock.now().monotonic_ns / NANOSECONDS
        if state is None:
            self._strange_since = {}
            return
        on_line = {call.call_id for call in state.calls.values() if call.is_on_the_line}
        lost = {
            f"caller {name} is known to nobody" for name in self._switch.callers.keys() - state.calls.keys()
        }
        ghosts = {f"call {name} has no caller" for name in on_line - self._switch.callers.keys()}
        self._strange_since = {what: self._strange_since.get(what, now) for what in lost | ghosts}
        for what, since in self._strange_since.items():
            assert now - since < STRANGE_SECONDS, f"{what}, for {now - since:.0f} s"

    def _check_starvation(self, engine: Engine, step: Step) -> None:
        """Among calls that this agent may take, nobody is overtaken by more than the largest head start."""
        largest = max(known.head_start_seconds for known in self._policy.classes.values())
        for entry in step.entries:
            fact = entry.fact
            if not isinstance(fact, facts.OfferMade) or fact.call_id not in engine.state.calls:
                continue
            chosen = engine.state.calls[fact.call_id]
            agent = self._policy.agents.get(fact.agent)
            if agent is None or chosen.tier == Tier.EMERGENCY or chosen.callback is not None:
                continue
            for other in engine.state.calls.values():
                is_other = other.test or other.callback is not None or bool(other.refused_by)
                if engine.position(other.call_id) is None or is_other:
                    continue
                if set(self._policy.queues[other.queue].skills) <= set(agent.skills):
                    overtaken = chosen.queued_at.since(other.queued_at)
                    assert overtaken <= largest, f"{other.call_id} waits {overtaken:.1f} s longer than {fact}"

    # ------------------------------------------------------------------ starts and the end

    def recalled(self, state: State, ledger: SqlLedger) -> None:
        """A daemon starts: checkpoint and tail are the whole, and the chain holds."""
        whole = replay(read_all(ledger))
        assert state == whole, "checkpoint and the facts after it are not the whole"
        self._fold = deepcopy(whole)
        assert whole.sequence == self._sequence_on_disk, "what was on the disk is not there any more"
        self._check_chain(ledger)
        self.unstored += len(self._heard_of - self._arrived_on_disk)
        self._heard_of = set()
        self._note(f"** a daemon starts at {whole.sequence}")

    def closed(self, engine: Engine, ledger: SqlLedger) -> None:
        """Everything has ended: each call once, and the ledger tells the same as the engine."""
        whole = replay(read_all(ledger))
        assert whole == engine.state, "the ledger is not the live state"
        assert recall(ledger) == whole
        self._check_chain(ledger)
        arrived: list[str] = []
        ended: list[str] = []
        in_hand: set[str] = set()
        for entry in read_all(ledger):
            match entry.fact:
                case facts.CallArrived():
                    arrived.append(entry.fact.call_id)
                case facts.TaskOpened():
                    in_hand.add(entry.fact.call_id)
                case facts.CallEnded():
                    ended.append(entry.fact.call_id)
                    is_lost = entry.fact.outcome is CallOutcome.ENDED_UNKNOWN
                    is_lost &= entry.fact.call_id in self._lost_with_switch
                    assert not is_lost or entry.fact.call_id in in_hand, f"lost with the switch: {entry}"
                    self.outcomes.add(str(entry.fact.outcome))
        assert sorted(arrived) == sorted(ended), "not every call has ended once"
        assert self._heard_of <= set(arrived), f"forgotten: {self._heard_of - set(arrived)}"
        assert len(set(arrived)) == len(arrived), "a call is in the ledger twice"
        unseen = set(self._switch.record) - self._switch.unsaid - set(arrived)
        assert not unseen, f"the switch had callers who are not in the ledger: {sorted(unseen)}"
        assert not whole.untraced, f"gaps whose trace was not read: {sorted(whole.untraced)}"

    def _check_chain(self, ledger: SqlLedger) -> None:
        verified = verify_chain(ledger)
        assert verified.sound, verified.explanation


class WatchedEngine(Engine):
    """The production engine, watched after each of its steps."""

    def __init__(self, policy: Policy, state: State, watch: Watch) -> None:
        super().__init__(policy, state)
        self._watch = watch

    def step(self, given: Input, now: Instant) -> Step:
        """As it is; then every promise is checked."""
        step = super().step(given, now)
        self._watch.stepped(self, step, now)
        return step
