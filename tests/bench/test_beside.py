"""Dispatch beside MI at work: what is said of it, and the burner that it is held against."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from hwtest.bench import beside, dispatch
from hwtest.bench.beside import ALONE, BESIDE, BUSY, NAME, ORDER
from hwtest.bench.burner import LOWEST, every_core_busy
from hwtest.bench.results import Block
from tests.mi.serving import until

PLAN = beside.Plan(
    dispatch=dispatch.Plan(
        name=NAME, line="101", waiting=20, agents=5, samples=40, plain_samples=40, rounds=1
    ),
    calls=1000,
)
MS = {ALONE: 10.0, BESIDE: 12.0, BUSY: 11.5}


def block(system: str) -> Block:
    """Every dispatch takes as long."""
    return Block(
        figure=NAME,
        system=system,
        samples=[MS[system]] * 20,
        seconds=5.0,
        load_average=1.0,
        steal_share=0.0,
        busy_share=0.5,
        retransmissions=0,
        dropped=None,
    )


def test_what_is_ours_and_what_is_the_machines() -> None:
    """MI is held to its target; beside it stands, without one, what any work at all costs here."""
    alone, ours, machine = beside.figures([block(system) for system in ORDER], PLAN, 1000, 2)
    assert alone.summary is not None
    assert (ours.ratio, ours.met, machine.ratio, machine.met) == (1.2, False, 1.15, None)
    assert (ours.target, machine.target) == (beside.TARGET, "")


def test_without_work_nothing_is_measured() -> None:
    """A pull that gave nothing costs nothing, and says nothing."""
    blocks = [replace(block(system), seconds=1.0) for system in ORDER]
    (figure,) = beside.figures(blocks, PLAN, 0, 2)
    assert not figure.measured


async def test_every_core_is_kept_busy() -> None:
    """Each by one burner that gives way to everything; afterwards there is none."""
    cores = len(os.sched_getaffinity(0))
    with every_core_busy() as pids:
        assert len(pids) == cores
        await until(lambda: all(os.getpriority(os.PRIO_PROCESS, pid) == LOWEST for pid in pids))
        await until(
            lambda: (
                {frozenset(os.sched_getaffinity(pid)) for pid in pids}
                == {frozenset({core}) for core in os.sched_getaffinity(0)}
            )
        )
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
