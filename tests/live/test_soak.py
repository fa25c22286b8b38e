"""The soak in its form of a minute (`make endure`); `make soak` takes ten."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hwtest.soak.command import RATE, in_lab, show

pytestmark = pytest.mark.endurance


def test_a_minute_of_calls_and_faults(tmp_path: Path) -> None:
    """Every call is accounted for on the wire and in the ledger, and nothing is left behind or grows."""
    result = asyncio.run(in_lab(tmp_path / "lab", 60.0, RATE, 1))
    show(result)
    assert result.wrong == []
    assert sum(result.became.values()) == result.calls > 100
    assert len(result.faults) > 1
