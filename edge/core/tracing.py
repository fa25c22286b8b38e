"""Times without sight of the switch, and what its own record tells of them afterwards.

Rule 1: every interval without sight becomes one `GapEnded` fact when it is over; how its beginning is known stands in it.
Rule 2: the switch is asked for its own record of it (`ReadTrace`), and nothing waits for the answer: callers are adopted before.
Rule 3: what the record tells is added, or corrects what was seen late or not at all, by facts that name their source. Who was
seen live is never told of twice, and a gap that was traced once is not traced again.
Rule 4: the record's times are the switch's. They become ours by the moment at which the switch was seen again, known on both
clocks.
"""

from __future__ import annotations

from edge.core import effects, facts, inputs
from edge.core.model import (
    BUDDY,
    MICROSECONDS,
    TEST,
    Answer,
    Blindness,
    Bound,
    CallOutcome,
    CallState,
    Instant,
    Side,
    Stage,
    Tier,
)
from edge.core.promise import TaskKind
from edge.core.ringing_back import RingingBack
from edge.core.state import Call, Gap

MARGIN_SECONDS = 10.0
"""The record is read from so long before the gap: what happened just before it may not have reached us."""
LET_GO = frozenset({CallOutcome.REFUSED, CallOutcome.OVERFLOWED})
"""What rang for such a caller was no fallback."""
LONGEST_UNKNOWN_US = 3600 * MICROSECONDS
"""Of a gap over a restart of the machine after which its clock was behind: nothing tells how long it was."""
SOMEBODY = "somebody in the fallback"
"""Who answered where the record does not name them."""
APART_SECONDS = 0.05
"""Times that are closer together than this tell the same."""


def _ranges(gap: Gap) -> tuple[tuple[int, int], tuple[int, int]]:
    """What the switch's clock showed in the gap: reckoned from its end, and from its beginning. They differ where it was set."""
    long_us = round(gap.seconds * MICROSECONDS)
    apart_us = gap.until_switch_utc_us - gap.until.utc_us
    until_us, since_us = gap.until_switch_utc_us, gap.since.utc_us + apart_us
    unknown_us = LONGEST_UNKNOWN_US if since_us > until_us and not long_us else 0
    return (until_us - long_us, until_us), (since_us, since_us + (long_us or unknown_us))


class Tracing(RingingBack):
    """Records gaps, and what is read of them."""

    # ------------------------------------------------------------------ gaps

    def _gap_over(self, seen: inputs.Reconciled) -> None:
        """Called when the switch was looked at, before anything is made of it."""
        state = self.state
        since = state.sight_since
        if state.sight or since is None:
            return
        why = Blindness.SWITCH_DEAD if self._switch_died else state.blind_by
        calls = {call.call_id for call in state.calls.values()} | {call.call_id for call in seen.calls}
        self._record_gap(since, why, state.blind_bound, calls, seen.switch_utc_us)

    def _stood_still(self, given: inputs.StoodStill) -> None:
        """We did nothing for a while: what happened meanwhile is told late, or was lost. Without sight it is a gap already."""
        seconds = self._now.since(given.since)
        self._because(f"the daemon stood still for {seconds:.1f} s")
        if not self.state.sight:
            return
        self._record_gap(given.since, Blindness.DAEMON_HUNG, Bound.SEEN, set(self.state.calls), None)
        self._ask_for_traces()

    def _record_gap(
        self, since: Instant, why: Blindness, bound: Bound, calls: set[str], switch_utc_us: int | None
    ) -> None:
        seconds = max(0.0, self._now.since(since))
        self._because(f"{why}: the switch was not seen for {seconds:.1f} s")
        self._record(
            facts.GapEnded(
                gap=self.state.gaps + 1,
                why=why,
                since=since,
                bound=bound,
                seconds=seconds,
                calls=tuple(sorted(calls)),
                until_switch_utc_us=switch_utc_us,
            )
        )

    def _ask_for_traces(self) -> None:
        """Of every gap that has none, those too of which a daemon that died had asked."""
        for gap in self.state.untraced.values():
            ranges = _ranges(gap)
            self._ask(
                effects.ReadTrace(
                    gap=gap.gap,
                    from_utc_us=min(begin for begin, _ in ranges) - round(MARGIN_SECONDS * MICROSECONDS),
                    until_utc_us=max(end for _, end in ranges),
                )
            )

    # ------------------------------------------------------------------ what the record tells

    def _trace_read(self, given: inputs.TraceRead) -> None:
        gap = self.state.untraced.get(given.gap)
        if gap is None:
            self._because(f"the trace of gap {given.gap} was read before: nothing is added")
            return
        once = {traced.call_id: traced for traced in given.calls}
        for traced in sorted(once.values(), key=lambda call: (call.joined_utc_us, call.call_id)):
            call, gone = self.state.calls.get(traced.call_id), gap.lost.get(traced.call_id)
            if call is not None:
                self._trace_open(gap, traced, call)
            elif gone is not None and traced.ended_utc_us is not None:
                self._trace_lost(gap, traced, gone)
            elif gone is None and self._came_unseen(gap, traced):
                self._trace_new(gap, traced)
        if given.more:
            return
        seen = len(once) if given.calls_seen is None else given.calls_seen
        self._because(
            f"the switch's own record of gap {gap.gap} was read: {seen} callers, {gap.calls_added} of whom nothing was known"
        )
        self._record(
            facts.GapTraced(
                gap=gap.gap,
                complete=given.complete,
                detail=given.detail,
                calls_seen=seen,
                calls_added=gap.calls_added,
                calls_corrected=gap.calls_corrected,
                calls_unknown=gap.calls_unknown + len(gap.lost),
            )
        )

    def _when(self, gap: Gap, utc_us: int | None, told_at: Instant | None = None) -> Instant | None:
        """A time of the switch as ours: as long before the end of the gap as its clock says; where its clock was set in the gap,
        and that makes no sense, as long after the beginning.

        `told_at`: when it was told to us, if it was. A clock that was set back shows the times of the gap again after it.
        """
        if utc_us is None:
            return None
        (begin, end), (set_begin, set_end) = _ranges(gap)
        is_later = utc_us > end and told_at is not None and told_at.monotonic_ns > gap.until.monotonic_ns
        if not is_later and not begin <= utc_us <= end and set_begin <= utc_us <= set_end:
            return gap.since.plus((utc_us - set_begin) / MICROSECONDS)
        return gap.until.plus((utc_us - gap.until_switch_utc_us) / MICROSECONDS)

    def _came_unseen(self, gap: Gap, traced: inputs.TracedCall) -> bool:
        """Whether nothing is known of this caller and nothing will be: they came before the switch was seen again, and were gone
        by then. Who came later is told of by the switch itself."""
        if traced.known or not self._is_new(traced.call_id):
            return False
        margin_us = round(MARGIN_SECONDS * MICROSECONDS)
        return any(begin - margin_us <= traced.joined_utc_us < end for begin, end in _ranges(gap))

    def _trace_new(self, gap: Gap, traced: inputs.TracedCall) -> None:
        """The whole call, as if it had been told; each fact bears the switch's own time of it."""
        end = "their end is not in it" if traced.ended_utc_us is None else "and went"
        self._because(
            f"call {traced.call_id} came {end} while the switch was not seen: told by its own record ({traced.source})"
        )
        joined = self._when(gap, traced.joined_utc_us) or gap.since
        line = self.policy.lines.get(traced.line)
        self._switch_utc_us = traced.arrived_utc_us or traced.joined_utc_us
        self._record_arrival(
            inputs.FallbackTook(
                call_id=traced.call_id,
                line=traced.line,
                leg_id=traced.leg_id,
                why="without us",
                caller_number=traced.caller_number,
                number_withheld=traced.number_withheld,
            ),
            adopted=True,
        )
        if traced.answered_utc_us is not None:
            self._switch_utc_us = traced.answered_utc_us
            is_ours = line is not None and line.answer is Answer.ON_ARRIVAL
            self._record(
                facts.CallAnswered(call_id=traced.call_id, by=Side.SYSTEM if is_ours else Side.AGENT)
            )
        if line is not None and not traced.refused:
            self._switch_utc_us = traced.joined_utc_us
            self._join(traced.call_id, line, joined)
        call = self.state.calls[traced.call_id]
        if traced.upgraded and call.tier != Tier.EMERGENCY and self.policy.emergency.queue is not None:
            self._switch_utc_us = None
            self._record(facts.CallUpgraded(call_id=call.call_id, queue=self.policy.emergency.queue))
        agent = self._who(traced)
        if traced.fallback_utc_us is not None or traced.connected_utc_us is not None:
            self._switch_utc_us = traced.fallback_utc_us
            self._record(facts.FallbackEntered(call_id=call.call_id, why="without us"))
        if traced.connected_utc_us is not None:
            self._switch_utc_us = traced.connected_utc_us
            self._record(facts.FallbackConnected(call_id=call.call_id, agent=agent))
        self._link_tasks(call)
        self._end_traced(gap, traced, call, agent)
        self._switch_utc_us = None

    def _end_traced(self, gap: Gap, traced: inputs.TracedCall, call: Call, agent: str | None) -> None:
        """By the switch's times; where its record has no end, it fell between the last that it has and the end of the gap."""
        ended = self._when(gap, traced.ended_utc_us)
        latest = self._when(gap, traced.latest_utc_us) or gap.until
        connected = self._when(gap, traced.connected_utc_us)
        joined = self._when(gap, traced.joined_utc_us) or gap.since
        until = ended or latest
        waited_seconds = max(0.0, (connected or until).since(joined))
        if ended is None:
            outcome = CallOutcome.ENDED_UNKNOWN
        elif traced.refused:
            outcome = CallOutcome.REFUSED
        else:
            outcome = CallOutcome.ABANDONED if connected is None else CallOutcome.ANSWERED
        stage = Stage.ENTRY if traced.refused else self._stage(call)
        self._switch_utc_us = traced.ended_utc_us
        self._switch_died = gap.switch_died
        self._open_task_for(call, outcome, waited_seconds)
        self._switch_died = False
        if traced.cut and connected is not None and call.tier == Tier.EMERGENCY and not call.test:
            self._open_task(call, TaskKind.LOST, "a 999 that the network cut", waited_seconds)
        ended_fact = facts.CallEnded(
            call_id=call.call_id,
            outcome=outcome,
            stage=stage,
            side=traced.side,
            cause=traced.cause,
            waited_seconds=waited_seconds,
            talked_seconds=0.0 if connected is None else max(0.0, until.since(connected)),
            agent=agent,
            unseen_since=latest if ended is None else None,
        )
        self._record(ended_fact)
        self._switch_utc_us = None
        self._record_traced(gap, traced, ended_fact, added=True)

    def _trace_open(self, gap: Gap, traced: inputs.TracedCall, call: Call) -> None:
        """A call that is still there: when it really came, and when the switch's own queue really connected it."""
        arrived, connected = (
            self._when(gap, traced.arrived_utc_us, call.arrived_at),
            self._when(gap, traced.connected_utc_us, call.connected_at),
        )
        came_unseen = arrived is not None and gap.since.monotonic_ns <= arrived.monotonic_ns
        came_unseen &= arrived is not None and call.arrived_at.since(arrived) > APART_SECONDS
        is_served = call.state is CallState.FALLBACK and connected is not None
        was_seen_late = call.connected_at is None or (
            connected is not None and call.connected_at.since(connected) > APART_SECONDS
        )
        if not came_unseen and not (is_served and was_seen_late):
            return
        self._because(
            f"call {call.call_id}: its times while the switch was not seen are told by its own record ({traced.source})"
        )
        waited_seconds = 0.0 if connected is None else max(0.0, connected.since(call.queued_at))
        self._record(
            facts.CallTraced(
                call_id=call.call_id,
                gap=gap.gap,
                source=traced.source,
                added=False,
                arrived_at=arrived if came_unseen else None,
                answered_at=self._when(gap, traced.answered_utc_us, call.arrived_at) if came_unseen else None,
                fallback_at=self._when(gap, traced.fallback_utc_us, call.connected_at) if is_served else None,
                connected_at=connected if is_served else None,
                agent=self._who(traced) if is_served else None,
                ended_at=None,
                outcome=None,
                side=Side.UNKNOWN,
                cause="",
                waited_seconds=waited_seconds,
                talked_seconds=0.0,
            )
        )

    def _trace_lost(self, gap: Gap, traced: inputs.TracedCall, call: Call) -> None:
        """A call of ours whose end we did not see: here it is. What was opened for a human because of it stays open, and is
        theirs who answered the caller, if somebody did."""
        ended = self._when(gap, traced.ended_utc_us)
        assert ended is not None
        connected = call.connected_at or self._when(gap, traced.connected_utc_us)
        outcome = CallOutcome.ABANDONED if connected is None else CallOutcome.ANSWERED
        if call.leaving_for is not None:
            outcome = CallOutcome.OVERFLOWED if call.elsewhere_since is not None else CallOutcome.REFUSED
        self._because(
            f"call {call.call_id} ended ({outcome}) while the switch was not seen: told by its own record ({traced.source})"
        )
        told = facts.CallEnded(
            call_id=call.call_id,
            outcome=outcome,
            stage=Stage.TALKING if connected is not None else Stage.QUEUE,
            side=traced.side,
            cause=traced.cause,
            waited_seconds=max(0.0, (connected or ended).since(call.queued_at)),
            talked_seconds=0.0 if connected is None else max(0.0, ended.since(connected)),
            agent=call.agent or self._who(traced),
        )
        is_task = call.became_task or call.call_id in self.state.tasks  # known before the former was noted
        if outcome is CallOutcome.ABANDONED and call.first_connected_at is None and not is_task:
            self._open_task_for(call, outcome, told.waited_seconds)
        self._record_traced(gap, traced, told, added=False)
        if outcome is CallOutcome.ANSWERED and not gap.switch_died and not traced.cut:
            self._leave_to_who_answered(told.call_id, told.agent or SOMEBODY)

    def _record_traced(
        self, gap: Gap, traced: inputs.TracedCall, told: facts.CallEnded, *, added: bool
    ) -> None:
        self._record(
            facts.CallTraced(
                call_id=told.call_id,
                gap=gap.gap,
                source=traced.source,
                added=added,
                arrived_at=self._when(gap, traced.arrived_utc_us or traced.joined_utc_us) if added else None,
                answered_at=self._when(gap, traced.answered_utc_us) if added else None,
                fallback_at=None if told.outcome in LET_GO else self._when(gap, traced.fallback_utc_us),
                connected_at=self._when(gap, traced.connected_utc_us),
                agent=told.agent,
                ended_at=self._when(gap, traced.ended_utc_us),
                outcome=told.outcome,
                side=told.side,
                cause=told.cause,
                waited_seconds=told.waited_seconds,
                talked_seconds=told.talked_seconds,
            )
        )

    def _who(self, traced: inputs.TracedCall) -> str | None:
        """Who took the call: by the record, else what stands in an agent's place, else who is signed in where it was taken."""
        if traced.connected_utc_us is None:
            return None
        if traced.agent in self.policy.agents:
            return traced.agent
        if traced.phone is None:
            return None
        if traced.phone == self.policy.emergency.buddy_phone:
            return BUDDY
        line = self.policy.lines.get(traced.line)
        if line is not None and line.test_phone == traced.phone:
            return TEST
        signed_in = (a.agent for a in self.state.agents.values() if a.phone == traced.phone)
        usual = (a.number for a in self.policy.agents.values() if a.phone == traced.phone)
        return next(signed_in, None) or next(usual, None)
