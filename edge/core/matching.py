"""Matching: waiting calls, in order of service, to free agents. Nothing is polled: every step ends here."""

from __future__ import annotations

from heapq import merge

from edge.core.emergency import Emergencies
from edge.core.model import CallState, Instant, Queue, Tier
from edge.core.offering import MATCH_AGAIN
from edge.core.ordering import Candidates, next_relaxation, rest_seconds, skills_needed
from edge.core.state import AgentRecord, Call


class Matching(Emergencies):
    """Offers, their reasons, and when to look again."""

    def _match(self) -> None:
        """999 first, then who asked for a task, then 101 and tasks in order of service, then test calls to their phone."""
        self._alarms.cancel(MATCH_AGAIN)
        if not self.state.sight or not self._is_anybody_unserved():
            return
        self._again.clear()
        self._barred.clear()
        candidates = Candidates(self.state, self.policy, self._now)
        if self._ringing_back or self._is_task_at_a_phone():
            candidates.keep_for_emergencies(self._reserve())
        was_free = candidates.free > 0
        self._serve_emergencies(candidates)
        self._give_to_who_asked(candidates)
        if candidates.free:  # most steps free nobody, and hundreds may wait
            self._serve_routine(candidates)
        for call_id in self._order.of_tests():
            self._serve_test(self.state.calls[call_id], candidates)
        if was_free or candidates.withheld or len(self._unanswered) > 0:
            self._again += self._times_of_change()
        self._arm_next_match()

    def _is_anybody_unserved(self) -> bool:
        waiting = len(self._order) + len(self._unanswered) + len(self._tasks)
        return waiting > 0 or self._does_anybody_want_a_task()

    def _serve_routine(self, candidates: Candidates) -> None:
        hopeless: set[tuple[str, ...]] = set()
        hopeless_tasks: set[tuple[str, ...]] = set()
        passed_over = 0
        calls, tasks = self._order.places(), self._tasks.places()
        for place, is_task in merge(((p, False) for p in calls), ((p, True) for p in tasks)):
            if not candidates.free:
                return
            if is_task:
                self._hand_out(self.state.tasks[place.call_id], candidates, hopeless_tasks)
                continue
            call = self.state.calls[place.call_id]
            if call.test:
                break
            if call.tier == Tier.EMERGENCY:
                passed_over += 1
                continue
            if call.state is CallState.CALLBACK:
                passed_over += not self._ring_back(call, candidates)
                if place.call_id in self._tasks:  # nobody may be dialled for it any more: a task now, here
                    self._hand_out(self.state.tasks[place.call_id], candidates, hopeless_tasks)
                continue
            skills = skills_needed(call, self.policy.queues[call.queue], self._now)
            if skills in hopeless:
                passed_over += 1
                continue
            askable = candidates.askable(call, skills)
            chosen = candidates.first(askable, skills)
            if chosen is None:
                passed_over += 1
                if not candidates.rested(skills, call):
                    hopeless.add(skills)
                continue
            why = self._why(chosen, skills, len(candidates.able(skills, call)), len(askable), passed_over)
            self._make(
                call,
                chosen.agent,
                chosen.phone or "",
                self._offer_seconds(call),
                f"agent {chosen.agent}",
                why,
            )
            candidates.take(chosen.phone)

    def _why(
        self, chosen: AgentRecord, skills: tuple[str, ...], able: int, asked: int, passed_over: int
    ) -> str:
        """`able`: how many could take it; `asked`: how many of them may be asked now."""
        whom = (
            "the only free agent" if asked == 1 else f"of {asked} free agents the best skilled, idle longest"
        )
        whom += f" with {', '.join(skills)}" if skills else ""
        whom += f" but for {able - asked} who refused a call just now" if able > asked else ""
        ahead = (
            f"; {passed_over} ahead wait for other agents" if passed_over else "; next in order of service"
        )
        idle_seconds = self._now.since(chosen.idle_since)
        return f"{whom} (idle {idle_seconds:.0f} s){ahead}"

    # ------------------------------------------------------------------ when to look again

    def _times_of_change(self) -> list[Instant]:
        """When a rest, a refusal's memory or a skill requirement runs out, for those who wait."""
        times = [
            record.rest_since.plus(rest_seconds(record, self.policy))
            for record in self.state.agents.values()
            if record.rest_since is not None
        ]
        for call_id in self._changing:
            times += self._changes_of(self.state.calls[call_id])
        return times

    def _changes_of(self, call: Call) -> list[Instant]:
        queue: Queue = self.policy.queues[call.queue]
        policy, times = self.policy, []
        spans = (
            policy.refusal_rest_seconds,
            policy.unreachable_rest_seconds,
            policy.refusal_memory_seconds,
        )
        for refused_at in {*call.refused_by.values(), *call.rejected_by.values()}:
            passed_seconds = self._now.since(refused_at)  # a long wait collects many that matter no more
            times += [refused_at.plus(seconds) for seconds in spans if seconds >= passed_seconds]
        if (relaxes_at := next_relaxation(call, queue, self._now)) is not None:
            times.append(relaxes_at)
        return times

    def _arm_next_match(self) -> None:
        soonest = min(
            (at for at in self._again if at.monotonic_ns > self._now.monotonic_ns),
            key=lambda at: at.monotonic_ns,
            default=None,
        )
        if soonest is not None:
            self._alarms.set(MATCH_AGAIN, soonest)
