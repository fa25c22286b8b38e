"""Probe 30: the daemon is killed while many wait. Is everybody there, in order, with their waits, and does the record say so?"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence

from edge.core.facts import Entry, GapEnded, OfferMade
from hwtest.bench.numbers import comparable
from hwtest.bench.readings import arrivals, overtaken, reaches, services
from hwtest.bench.rig import OURS
from hwtest.capture import Record
from hwtest.probes.contract import Evidence, Explanation, Layer, Level, Need, Probe, Threshold, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.rehearsal import LINE, Stage, staged
from hwtest.site import Site
from hwtest.useragent import answering

WAITING = 20
AGENTS = 4
TALK_SECONDS = 0.05
TOLERATED_NS = 100_000_000
"""Two agents become free at once: who is offered first then is nobody's fault."""
SERVED_SECONDS = 90.0


async def measure(site: Site, sheet: Sheet) -> None:
    """Twenty wait, the daemon is killed and comes back, then agents sign in and serve them all."""
    async with staged(site) as stage:
        rig = stage.rig
        await rig.staff(min(AGENTS, len(rig.lab.agents)))
        await rig.sign_out()
        await rig.wire.take()
        site.say(f"{WAITING} callers come")
        await rig.fill(LINE, WAITING)
        before = stage.reader.last_sequence()
        site.say("the daemon is killed")
        resumed = await _kill(stage)
        with rig.behaviour(answering(talk_seconds=TALK_SECONDS)):
            site.say("agents sign in and serve them")
            await rig.serve_for(OURS)
            await _all_served(site, stage)
        records = await stage.records()
        entries = await stage.told(before, (GapEnded,), 5.0)
        judge(sheet, records, entries, rig.caller_ports, rig.agent_ports)
    sheet.value("resumed", "s", resumed, note="from SIGKILL until the daemon sees the switch again")


async def _kill(stage: Stage) -> float:
    before, killed = stage.hurt.daemon, time.monotonic()
    stage.hurt.send(signal.SIGKILL)
    await stage.hurt.replaced(before)
    await stage.hurt.serving()
    return time.monotonic() - killed - 0.5  # `serving` looks again half a second later


async def _all_served(site: Site, stage: Stage) -> None:
    until = time.monotonic() + SERVED_SECONDS
    for call in list(stage.rig.callers.calls.values()):
        await call.lasts(max(0.1, until - time.monotonic()))
        site.say(f"{len(stage.rig.callers.calls)} still wait")


def judge(
    sheet: Sheet,
    records: Sequence[Record],
    entries: Sequence[Entry],
    caller_ports: frozenset[int],
    agent_ports: frozenset[int],
) -> None:
    """`entries`: facts from before the kill on."""
    found = reaches(records, caller_ports, agent_ports)
    served = services(records, agent_ports)
    lost = [place for place, reach in enumerate(found, 1) if reach.offered_ns is None]
    told = Evidence(text=f"places in the order of arrival that reached no agent: {lost or 'none'}")
    sheet.value("callers_lost", "callers", len(lost), n=len(found), evidence=[told])
    wrong = overtaken(arrivals(records, caller_ports), served, TOLERATED_NS)
    told = Evidence(text=f"places in the order of arrival that were overtaken: {wrong or 'none'}")
    sheet.value("out_of_order", "callers", len(wrong), n=len(found), evidence=[told])
    sheet.distribution(
        "wait_error",
        "ms",
        _wait_errors(records, entries, caller_ports, agent_ports),
        note="waited_seconds of the first offer after the kill, against INVITE to INVITE on the wire",
        evidence=[Evidence(text="OfferMade.waited_seconds of each caller")],
    )
    _gap(sheet, entries, len(found))


def _wait_errors(
    records: Sequence[Record],
    entries: Sequence[Entry],
    caller_ports: frozenset[int],
    agent_ports: frozenset[int],
) -> list[float]:
    offers = dict[str, OfferMade]()
    for entry in entries:
        if isinstance(entry.fact, OfferMade):
            offers.setdefault(entry.fact.call_id, entry.fact)
    arrived = {
        comparable(r.from_user): r.stamp_ns
        for r in reversed(records)
        if r.label == "INVITE" and not r.in_dialog and r.source_port in caller_ports
    }
    errors = list[float]()
    seen = set[str]()
    for record in records:
        ours = record.label == "INVITE" and not record.in_dialog and record.destination_port in agent_ports
        if not ours or record.edge_call not in offers or record.edge_call in seen:
            continue
        seen.add(record.edge_call or "")
        start = arrived.get(comparable(record.from_user))
        if start is not None:
            waited = (record.stamp_ns - start) / 1e6
            errors.append(abs(offers[record.edge_call or ""].waited_seconds * 1000 - waited))
    return errors


def _gap(sheet: Sheet, entries: Sequence[Entry], callers: int) -> None:
    gaps = [entry for entry in entries if isinstance(entry.fact, GapEnded)]
    named = {call for entry in gaps if isinstance(entry.fact, GapEnded) for call in entry.fact.calls}
    sheet.value("calls_named_by_the_gap", "calls", len(named), n=callers)
    if not gaps:
        words = "the record says nothing of the time in which the daemon did not see the switch"
        sheet.find(
            "fault.restart.unsaid",
            Verdict.FAIL,
            words,
            Evidence(text=f"{len(entries)} facts, no GapEnded among them"),
        )
    elif len(named) < callers:
        words = f"the gap names {len(named)} of {callers} calls that were open in it"
        sheet.find(
            "fault.restart.unsaid", Verdict.FAIL, words, Evidence(text=f"GapEnded, fact {gaps[0].sequence}")
        )


def _none(figure: str, code: str) -> Threshold:
    return Threshold(
        figure=figure, statistic="value", passes=0.0, warns=0.0, unit="callers", clause="own", code=code
    )


PROBE = Probe(
    name="fault.restart",
    number=30,
    title="The daemon is killed with twenty waiting, and nobody loses their place",
    level=Level.LAB,
    needs=frozenset({Need.RECORD}),
    seconds=60.0,
    term="crash recovery: order, waits and the record after SIGKILL",
    reference="own; docs/adr/0014-gaps.md",
    meaning=(
        "A daemon that dies must cost nobody their place. Twenty callers wait, the process is killed as by the kernel, its "
        "supervisor starts it again, and everybody is served: in order, with the wait counted from their own arrival."
    ),
    thresholds=(
        _none("callers_lost", "fault.restart.lost"),
        _none("out_of_order", "fault.restart.order"),
        Threshold(
            figure="wait_error",
            statistic="p95",
            passes=50.0,
            warns=500.0,
            unit="ms",
            clause="own",
            code="fault.restart.waits",
        ),
        Threshold(
            figure="resumed",
            statistic="value",
            passes=5.0,
            warns=15.0,
            unit="s",
            clause="own; RestartSec of systemd/edge101.service",
            code="fault.restart.slow",
        ),
    ),
    explanations=(
        Explanation(
            code="fault.restart.lost",
            layer=Layer.DIALPLAN,
            meaning="Callers who waited when the daemon died reached no agent afterwards.",
            caller_notices="The call drops, or music plays for ever.",
            causes=(
                "the survivable dialplan did not take them: it is not the generated one, or was changed",
                "the daemon did not take them up again after its restart",
            ),
            confirm="asterisk -rx 'dialplan show edge-lines'; edge gaps; asterisk -rx 'queue show'",
            mend="Install the generated dialplan (edge dialplan) and reload it; run this again.",
        ),
        Explanation(
            code="fault.restart.order",
            layer=Layer.DAEMON,
            meaning="After the restart somebody was served before others who had come earlier and are as urgent.",
            caller_notices="Others who came later are answered first.",
            causes=(
                "times of joining were lost: the ledger of before was not read again",
                "the switch's own queue had them meanwhile and gave them back in another order",
            ),
            confirm="edge why CALL; edge ledger verify",
            mend="Report it with the bundle of this run to those who maintain the daemon.",
        ),
        Explanation(
            code="fault.restart.waits",
            layer=Layer.RECORD,
            meaning="Waits are not counted from the caller's own arrival any more.",
            caller_notices="Nothing. Figures show shorter waits than people had.",
            causes=(
                "the time of joining is that of the restart",
                "the machine was so busy that the phone rang long after the decision: look at meter.timing",
            ),
            confirm="edge calls; hwtest run log.error",
            mend="Report it with the bundle of this run to those who maintain the daemon.",
        ),
        Explanation(
            code="fault.restart.slow",
            layer=Layer.DAEMON,
            meaning="The daemon takes long to serve again after it was killed.",
            caller_notices="The survivable queue serves meanwhile: no order by urgency.",
            causes=(
                "a ledger that takes long to fold: no checkpoint is saved",
                "a busy machine, or RestartSec was raised in the unit",
            ),
            confirm="systemctl cat edge101; journalctl -u edge101; edge replay",
            mend="Keep the unit as it is delivered; look why checkpoints are missing (edge ledger stat).",
        ),
        Explanation(
            code="fault.restart.unsaid",
            layer=Layer.RECORD,
            meaning="The record does not say that the switch was not seen for a while, or not for which calls.",
            caller_notices="Nothing. Later nobody knows that something may be missing.",
            causes=(
                "the gap was not recognised, or was written without its calls",
                "the daemon came back with another ledger than before",
            ),
            confirm="edge gaps",
            mend="Report it with the bundle of this run to those who maintain the daemon.",
        ),
    ),
    measure=measure,
)
