"""A made-up ledger is a ledger: whole, folded by the engine, as the codec would write it, and marked as what it is."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.cli import main
from edge.core.facts import CallArrived, LedgerSynthesised
from edge.core.state import State, apply
from edge.ledger.codec import encode_entry
from edge.ledger.store import open_ledger, open_reader, verify
from edge.ledger.synthesise import synthesise
from edge.ports import LedgerError
from edge.views.reading import entries
from edge.views.refold import refold

FIRST = datetime(2026, 10, 24, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A busy day and the one after it, with the clock change."""
    file = tmp_path_factory.mktemp("made-up") / "ledger.db"
    assert synthesise(file, 1500, 3, FIRST, 2) > 15 * 1500
    return file


def test_the_chain_is_whole_and_the_engine_folds_it(made: Path) -> None:
    """Nothing is in it that the engine's tables do not allow, and nobody is left in the room at the end."""
    url = f"sqlite:///{made}"
    found = verify(url)
    assert found.sound
    reader = open_reader(url)
    state, kinds = State(), Counter[str]()
    for entry in entries(reader):
        apply(state, entry)
        kinds[type(entry.fact).__name__] += 1
    assert not state.calls
    assert kinds["CallArrived"] == kinds["CallEnded"] == 1500
    assert {
        "CallbackPromised",
        "CallbackAnswered",
        "TaskOpened",
        "CallHeld",
        "OfferWithdrawn",
        "WrapUpEnded",
    } <= set(kinds)
    assert found.count == sum(kinds.values()) == refold(reader).state.sequence
    reader.close()


def test_every_row_is_what_the_codec_would_write(made: Path) -> None:
    """The fast writer and the ledger's own give the same text."""
    reader = open_reader(f"sqlite:///{made}")
    records = reader.page(None, 40_000)[0]
    for record, entry in zip(records, entries(reader), strict=False):
        row, personal = encode_entry(entry)
        assert row._replace(personal_digest=None) == record.row._replace(personal_digest=None)
        assert (personal and personal.body) == (record.personal and record.personal.body)
    reader.close()


def test_it_says_that_it_is_made_up(made: Path) -> None:
    """By its first fact, by its id, on every command that reads it, and no daemon opens it."""
    url = f"sqlite:///{made}"
    reader = open_reader(url)
    (first,) = reader.read(0, 1)
    assert isinstance(first.fact, LedgerSynthesised)
    assert (first.fact.calls, first.fact.seed) == (1500, 3)
    assert reader.synthetic
    assert reader.statistics().ledger_id.startswith("synthetic")
    numbers = {e.fact.caller_number for e in entries(reader) if isinstance(e.fact, CallArrived)}
    assert all(number is None or number.startswith("+440") or len(number) == 4 for number in numbers)
    reader.close()
    for words in (
        ["calls"],
        ["ledger", "head"],
        ["tasks"],
        ["metrics", "compute", "offered", "--period", "2026-10-24"],
    ):
        said = CliRunner().invoke(main, ["--ledger", url, *words])
        assert said.exit_code == 0, said.output
        assert "SYNTHETIC" in said.stderr
    with pytest.raises(LedgerError, match="made up"):
        open_ledger(url)


def test_the_same_seed_gives_the_same_ledger_and_nothing_is_overwritten(made: Path, tmp_path: Path) -> None:
    """Hash for hash."""
    again = tmp_path / "again.db"
    synthesise(again, 1500, 3, FIRST, 2)
    heads = []
    for file in (made, again):
        reader = open_reader(f"sqlite:///{file}")
        heads.append(reader.head())
        reader.close()
    assert heads[0] == heads[1]
    with pytest.raises(LedgerError, match="such a file already"):
        synthesise(again, 10, 1, FIRST, 1)
