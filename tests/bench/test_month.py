"""The month that is kept between runs: made once, made again by another program, and never half there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hwtest.bench import month
from hwtest.lab.packages import LabError

CALLS = 40


def test_it_is_made_once_and_by_another_program_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an earlier program left goes; what a killed one had begun is no month."""
    monkeypatch.setenv("EDGE101_CACHE", str(tmp_path))
    made, said = list[int](), list[str]()

    def making(make: Callable[[], None]) -> None:
        make()
        made.append(1)

    (begun := tmp_path / "months" / "draft-7").mkdir(parents=True)
    for _ in range(2):
        with month.kept(CALLS, said.append, making) as found, found.projection() as projection:
            facts = found.facts()
            projection.catch_up()
            assert projection.through == facts > 10 * CALLS
    assert (len(made), begun.exists()) == (1, False)
    assert "100 %" in said[-1]
    first = found.folder
    monkeypatch.setattr(month, "_maker", lambda: "another")
    with month.kept(CALLS, said.append, making) as found:
        assert found.facts() == facts
    assert (len(made), first.exists()) == (2, False)


def test_it_says_when_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made."""
    monkeypatch.setenv("EDGE101_CACHE", str(tmp_path))
    with (
        pytest.raises(LabError, match=r"needs 9000000000\.0; free some"),
        month.kept(10**15, print, lambda make: make()),
    ):
        pass
