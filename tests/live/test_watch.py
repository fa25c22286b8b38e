"""`hwtest watch` on a real switch: its verdicts become facts, it rings test phones alone, and a fault is found and told."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from edge.core import facts
from edge.core.model import CheckVerdict
from hwtest.probes.contract import Layer, Verdict
from hwtest.probes.registry import choose
from hwtest.target import Line
from hwtest.watching import Round, round_of
from tests.live.room import LiveLab, Room
from tests.live.test_switch_probes import Silent, target_of

pytestmark = pytest.mark.endurance


async def watched(live: LiveLab, number: str | None = None) -> Round:
    """One round; `number`: of the test line, where it is another than its own."""
    target = target_of(live)
    if number is not None:
        lines = {
            name: dataclasses.replace(line, number=number) if line.phone else line
            for name, line in target.lines.items()
        }
        assert any(isinstance(line, Line) and line.number == number for line in lines.values())
        target = dataclasses.replace(target, lines=lines)
    return await round_of(target, choose(["watch"]), Silent(), 1)


async def test_a_round_is_recorded_and_rings_nobody_else(room: Room) -> None:
    """A handler who is ready for everything is not rung, every call is a test call, and each verdict is a fact."""
    ann = await room.agent(1)
    before = {row["queue"]: row["today"] for row in _status(room.live)["queues"]}
    made = await watched(room.live)
    assert (made.trouble, made.seen) == (None, True)
    assert {r.name: r.verdict for r in made.results} == dict.fromkeys(
        ("sip.options", "ctl.link", "call.one", "call.heartbeat"), Verdict.PASS
    ), made.results
    room.live.follow()
    recorded = [f for f in room.facts(facts.EquipmentChecked) if isinstance(f, facts.EquipmentChecked)]
    assert [(f.probe, f.verdict) for f in recorded] == [(r.name, CheckVerdict.PASS) for r in made.results]
    arrived = [f for f in room.facts(facts.CallArrived) if isinstance(f, facts.CallArrived)]
    assert [f.test for f in arrived] == [True, True]
    assert ann.calls == []
    status = _status(room.live)
    assert {row["queue"]: row["today"] for row in status["queues"]} == before
    assert set(status["checks"]) == {r.name for r in made.results}


async def test_a_line_that_is_gone(room: Room) -> None:
    """The dialplan is blamed, and the record says so."""
    made = await watched(room.live, "9991234")
    heartbeat = next(r for r in made.results if r.name == "call.heartbeat")
    assert [(f.code, f.layer) for f in heartbeat.findings] == [("call.heartbeat.refused", Layer.DIALPLAN)]
    room.live.follow()
    assert room.live.state.checks["call.heartbeat"].verdict is CheckVerdict.FAIL


@pytest.mark.usefixtures("daemon_absent")
async def test_without_a_daemon_nothing_is_recorded_and_that_is_said(live: LiveLab) -> None:
    """ctl.link fails and blames the daemon; the fallback still rings the test phone."""
    made = await watched(live)
    verdicts = {r.name: r.verdict for r in made.results}
    assert verdicts["ctl.link"] is Verdict.FAIL
    assert made.trouble is not None and "has not recorded" in made.trouble
    assert not made.seen


def _status(live: LiveLab) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(live.edge("status", "--json").stdout)
    return shown
