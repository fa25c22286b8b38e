"""`[ship]` and `[retention]`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.config.findings import Level
from edge.config.load import examine
from tests.config.conftest import GOOD


@pytest.mark.parametrize("to", ["postgresql://u@db.example/x?sslmode=require", "postgresql://u@127.0.0.1"])
def test_where_nothing_can_be_shipped_to(written: Callable[[str], Path], to: str) -> None:
    """What `edge ship` would refuse is found before; it keeps nobody from starting the daemon."""
    configuration, findings = examine(written(f'{GOOD}[ship]\nto = "{to}"\n'))
    (found,) = findings
    assert (configuration is not None, found.level, "ship.to" in found.where) == (True, Level.WARNING, True)


def test_a_place_that_is_well(written: Callable[[str], Path]) -> None:
    """This machine, or another that proves who it is; the password is `edge ship`'s own matter."""
    for to in (
        "postgresql://u@/x?host=/run/postgresql",
        "postgresql+psycopg://u@a.example,b.example/x?sslmode=verify-full",
    ):
        text = f'{GOOD}[ship]\nto = "{to}"\npassword_file = "not-there"\n[retention]\nroutine_days = 31\n'
        configuration, findings = examine(written(text))
        assert (findings, configuration is not None) == ([], True)
