"""Matching: waiting calls, in order of service, to free agents. Nothing is polled: every step ends here."""

from __future__ import annotations

from edge.core import effects, facts
from edge.core.desk import Desk
from edge.core.model import (
    Instant,
    Queue,
    Tier,
)
from edge.core.ordering import (
    Candidates,
    next_relaxation,
    rest_seconds,
    skills_needed,
)
from edge.core.state import AgentRecord, Call

MATCH_AGAIN = ("match", "")
"""Alarm key: something that bars an agent from a call expires then."""


class Matching(Desk):
    """Offers, their reasons, and when to look again."""

    def _match(self) -> None:
        """Offer waiting calls, in order of service, to free agents. Nothing is polled: every step ends here."""
        self._alarms.cancel(MATCH_AGAIN)
        if not self.state.sight or not len(self._order):
            return
        candidates = Candidates(self.state, self.policy, self._now)
        if not candidates.free:
            return
        hopeless: set[tuple[str, ...]] = set()
        passed_over, withheld = 0, False
        for call_id in self._order:
            if not candidates.free:
                break
            call = self.state.calls[call_id]
            skills = skills_needed(call, self.policy.queues[call.queue], self._now)
            if skills in hopeless and not call.refused_by:
                passed_over += 1
                continue
            chosen = candidates.best(call, skills)
            if chosen is not None:
                self._offer(call, chosen, skills, candidates, passed_over)
                candidates.take(chosen)
                continue
            passed_over += 1
            if not candidates.able(skills):
                hopeless.add(skills)
            if call.tier == Tier.EMERGENCY:
                withheld = True
                candidates.withhold(skills)
        if candidates.free or withheld:
            self._arm_next_match()

    def _offer(
        self,
        call: Call,
        chosen: AgentRecord,
        skills: tuple[str, ...],
        candidates: Candidates,
        passed_over: int,
    ) -> None:
        queue = self.policy.queues[call.queue]
        offer_id = f"{call.call_id}.{call.offers_made + 1}"
        waited_seconds = self._now.since(call.queued_at)
        self._because(self._why_offered(call, chosen, skills, candidates, passed_over, waited_seconds))
        self._record(
            facts.OfferMade(
                offer_id=offer_id,
                call_id=call.call_id,
                agent=chosen.agent,
                phone=chosen.phone or "",
                ring_seconds=queue.offer_seconds,
                waited_seconds=waited_seconds,
            )
        )
        self._ask(
            effects.MakeOffer(
                offer_id=offer_id,
                call_id=call.call_id,
                phone=chosen.phone or "",
                ring_seconds=queue.offer_seconds,
                caller_number=call.caller_number,
                line=call.line,
                tier=Tier(call.tier),
                priority_class=call.priority_class,
                waited_seconds=waited_seconds,
            )
        )

    def _why_offered(
        self,
        call: Call,
        chosen: AgentRecord,
        skills: tuple[str, ...],
        candidates: Candidates,
        passed_over: int,
        waited_seconds: float,
    ) -> str:
        able, asked = len(candidates.able(skills)), len(candidates.askable(call, skills))
        whom = (
            "the only free agent" if asked == 1 else f"of {asked} free agents the best skilled, idle longest"
        )
        whom += f" with {', '.join(skills)}" if skills else ""
        whom += f" but for {able - asked} who refused a call just now" if able > asked else ""
        ahead = (
            f"; {passed_over} ahead wait for other agents" if passed_over else "; next in order of service"
        )
        kind = "999" if call.tier == Tier.EMERGENCY else f"101 ({call.priority_class})"
        idle_seconds = self._now.since(chosen.idle_since)
        return (
            f"{kind} call {call.call_id} offered to agent {chosen.agent} after {waited_seconds:.1f} s: "
            f"{whom} (idle {idle_seconds:.0f} s){ahead}"
        )

    def _arm_next_match(self) -> None:
        """Somebody is free and somebody waits: wake when a rest, a refusal's memory or a skill requirement runs out."""
        times = [
            record.rest_since.plus(rest_seconds(record, self.policy))
            for record in self.state.agents.values()
            if record.rest_since is not None
        ]
        for call in map(self.state.calls.__getitem__, self._order):
            if call.refused_by or self.policy.queues[call.queue].relaxations:
                times += self._changes_of(call)
        soonest = min(
            (at for at in times if at.monotonic_ns > self._now.monotonic_ns),
            key=lambda at: at.monotonic_ns,
            default=None,
        )
        if soonest is not None:
            self._alarms.set(MATCH_AGAIN, soonest)

    def _changes_of(self, call: Call) -> list[Instant]:
        queue: Queue = self.policy.queues[call.queue]
        times = []
        for refused_at in call.refused_by.values():
            times += [
                refused_at.plus(self.policy.refusal_rest_seconds),
                refused_at.plus(self.policy.unreachable_rest_seconds),
                refused_at.plus(self.policy.refusal_memory_seconds),
            ]
        if (relaxes_at := next_relaxation(call, queue, self._now)) is not None:
            times.append(relaxes_at)
        return times
