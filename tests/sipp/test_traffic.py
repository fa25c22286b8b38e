"""A real SIPp, and a switch that is made up: whom it counts as served."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from hwtest.lab.contract import Address
from hwtest.probes.sheet import Sheet
from hwtest.sipp import program
from hwtest.sipp.counters import GAVE_UP
from hwtest.sipp.traffic import QUEUE_CALLER, Traffic, load
from hwtest.site import Site
from hwtest.target import Kind, Line
from hwtest.useragent import IncomingCall, UserAgent
from tests.probes.made import LIVE, made_probe

pytestmark = pytest.mark.skipif(program.find() is None, reason="SIPp is not here: apt-get install sip-tester")


async def test_who_waits_in_vain_is_not_served(tmp_path: Path) -> None:
    """A caller who is released by an agent has been served; one who gives up, and is let go well, has not."""
    serving = set[asyncio.Task[None]]()

    async def serve(call: IncomingCall) -> None:
        await call.until(lambda: call.acknowledged, 5)
        await call.hang_up()

    def take(call: IncomingCall) -> None:
        call.answer()
        if not serving:
            serving.add(asyncio.create_task(serve(call)))

    async with UserAgent(user="switch") as switch:
        switch.on_invite = take
        sip = Address(host=switch.address[0], port=switch.address[1])
        target = replace(LIVE, kind=Kind.LAB, sip=sip, lines={"queue": Line(number="101")})
        traffic = Traffic(
            scenario=QUEUE_CALLER, calls=2, number="101", rate=20.0, patience_seconds=0.6, limit_seconds=10.0
        )
        async with (
            Site(target, tmp_path, lab_allowed=True) as site,
            load(site, Sheet(made_probe()), "callers", traffic) as running,
        ):
            counted = (await running.ended()).counters
    assert (counted.created, counted.successful, counted.failures) == (2, 1, {GAVE_UP: 1})
