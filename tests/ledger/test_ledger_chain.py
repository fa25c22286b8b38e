"""Whatever is changed in a ledger behind its back is found, and the first place is named."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.core.facts import Entry
from edge.ledger.chain import Damage, Head, Verification, netstrings
from edge.ledger.measure import arrivals
from edge.ledger.schema import facts
from edge.ledger.store import export, head, open_reader, open_sql_ledger, verify
from edge.ports import LedgerError

COUNT = 12
examples = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A closed ledger of twelve facts and a checkpoint, never to be changed."""
    yield written(tmp_path_factory.mktemp("original") / "ledger.db")


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Path:
    """A copy to tamper with."""
    return Path(shutil.copy(original, tmp_path))


@given(st.lists(st.none() | st.integers() | st.text(st.characters(codec="utf-8"))))
def test_form_of_a_row_is_netstrings_of_bytes(values: list[str | int | None]) -> None:
    """Lengths count bytes, also where a text has characters of several."""

    def netstring(value: str | int | None) -> bytes:
        text = str(value).encode()
        return b"-," if value is None else str(len(text)).encode() + b":" + text + b","

    assert netstrings(values) == b"".join(map(netstring, values))


def written(path: Path) -> Path:
    ledger = open_sql_ledger(f"sqlite:///{path}")
    ledger.append(arrivals(1, COUNT))
    ledger.save_checkpoint(6, b"state")
    ledger.close()
    return path


def checked(path: Path, known_head: Head | None = None) -> Verification:
    return verify(f"sqlite:///{path}", known_head=known_head)


def tamper(path: Path, *statements: str) -> None:
    """As somebody with the file and no scruples."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for statement in statements:
            connection.execute(statement)


def verdict(path: Path) -> tuple[Damage | None, int | None]:
    found = checked(path)
    return found.damage, found.broken_at


def test_an_untouched_ledger_is_sound(copy: Path) -> None:
    """Every fact holds, and the head is the one to write down."""
    found = checked(copy)
    assert (found.sound, found.count, found.erased, found.head) == (True, COUNT, 0, head(f"sqlite:///{copy}"))


@examples
@given(column=st.sampled_from(list(facts.columns.keys())), sequence=st.integers(1, COUNT), data=st.data())
def test_any_changed_column_is_found(
    original: Path, tmp_path: Path, column: str, sequence: int, data: st.DataObject
) -> None:
    """Another value in any column of any fact is found at that fact."""
    path = Path(shutil.copy(original, tmp_path))
    was = f"SELECT {column} FROM facts WHERE sequence = {sequence}"
    with closing(sqlite3.connect(path)) as connection:
        (value,) = connection.execute(was).fetchone()
    replacement = data.draw(
        (st.integers(20, 2**62) | st.integers(-9, 0)) if column == "sequence" else st.text("ab1", min_size=1)
    )
    if str(replacement) == str(value):
        return
    tamper(path, f"UPDATE facts SET {column} = '{replacement}' WHERE sequence = {sequence}")
    damage, broken_at = verdict(path)
    assert damage is not None
    assert column == "sequence" or broken_at == sequence


@examples
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_changed_bit_of_the_file_is_found_or_harmless(
    original: Path, tmp_path: Path, place: float, bit: int
) -> None:
    """No flipped bit changes what is read without being found. Personal data may look erased: erasing is allowed."""
    content = bytearray(original.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path = tmp_path / "flipped.db"
    for left in tmp_path.glob("flipped.db*"):
        left.unlink()
    path.write_bytes(content)
    try:
        found = checked(path)
        entries = entries_of(path)
    except LedgerError:
        return
    assert not found.sound or found.erased or entries == arrivals(1, COUNT)


def entries_of(path: Path) -> list[Entry]:
    with closing(open_reader(f"sqlite:///{path}")) as reader:
        return list(reader.read())


def test_a_missing_fact_is_found(copy: Path) -> None:
    """A hole is named by its first sequence."""
    tamper(copy, "DELETE FROM facts WHERE sequence IN (4, 5)")
    assert verdict(copy) == (Damage.MISSING, 4)
    assert checked(copy).explanation == "entries 4 to 5 are missing"


def test_swapped_facts_are_found(copy: Path) -> None:
    """Facts that changed places are told from facts that were changed."""
    tamper(
        copy,
        "UPDATE facts SET sequence = 99 WHERE sequence = 3",
        "UPDATE facts SET sequence = 3 WHERE sequence = 8",
        "UPDATE facts SET sequence = 8 WHERE sequence = 99",
    )
    assert verdict(copy) == (Damage.REORDERED, 3)
    assert checked(copy).explanation == "what was recorded as entry 3 now stands as entry 8"


def test_a_cut_tail_is_found(copy: Path) -> None:
    """Facts missing at the end are found by the recorded head."""
    tamper(copy, "DELETE FROM facts WHERE sequence > 9")
    assert verdict(copy) == (Damage.TRUNCATED, 10)


def test_a_cut_tail_with_a_forged_head_is_found_by_the_checkpoint(copy: Path) -> None:
    """A checkpoint past the end tells of facts that were there."""
    tamper(
        copy,
        "DELETE FROM facts WHERE sequence > 4",
        "UPDATE meta SET head_sequence = 4, head_hash = (SELECT hash FROM facts WHERE sequence = 4)",
    )
    assert verdict(copy) == (Damage.TRUNCATED, 5)


def test_an_added_fact_is_found(copy: Path) -> None:
    """A fact appended by hand does not follow."""
    columns = "kind, monotonic_ns, utc_us, switch_utc_us, clock, reason, call_id, agent, body, personal_digest, hash"
    tamper(copy, f"INSERT INTO facts SELECT 13, {columns} FROM facts WHERE sequence = 12")
    assert verdict(copy) == (Damage.CHANGED, 13)


@pytest.mark.parametrize(
    ("statement", "sequence"),
    [
        ('UPDATE personal SET body = \'{"caller_number":"+441"}\' WHERE sequence = 2', 2),
        ("UPDATE personal SET salt = 'ff' WHERE sequence = 2", 2),
        ("UPDATE personal SET sequence = 77 WHERE sequence = 12", 77),
        ("INSERT INTO personal VALUES (-1, 'ff', '{}')", -1),
    ],
    ids=["body", "salt", "moved behind", "moved before"],
)
def test_altered_personal_data_is_found(copy: Path, statement: str, sequence: int) -> None:
    """Personal data may be erased, but never replaced."""
    tamper(copy, statement)
    assert verdict(copy) == (Damage.PERSONAL_ALTERED, sequence)


def test_a_deleted_personal_row_counts_as_erased(copy: Path) -> None:
    """The chain holds without personal data, and says how many facts lost theirs."""
    tamper(copy, "DELETE FROM personal WHERE sequence = 2")
    assert (checked(copy).sound, checked(copy).erased) == (True, 1)


@pytest.mark.parametrize("statement", ["DELETE FROM meta", "INSERT INTO meta VALUES ('x', 0, 0, '')"])
def test_a_tampered_meta_table_is_refused(copy: Path, statement: str) -> None:
    """A ledger that does not know itself cannot be read as evidence."""
    tamper(copy, statement)
    with pytest.raises(LedgerError, match=r"its table meta has . rows and not one"):
        checked(copy)


@pytest.mark.parametrize("column", ["head_hash", "ledger_id"])
def test_a_forged_anchor_is_found(copy: Path, column: str) -> None:
    """The recorded head must be the last hash, and the first fact must follow this ledger's own id."""
    tamper(copy, f"UPDATE meta SET {column} = 'forged'")
    assert verdict(copy) == (Damage.CHANGED, COUNT if column == "head_hash" else 1)


def test_a_chain_recomputed_as_a_whole_is_found_by_a_head_written_down(
    original: Path, tmp_path: Path
) -> None:
    """Who recomputes every hash is found by a head kept elsewhere, and by nothing else."""
    known = head(f"sqlite:///{original}")
    forged = written(tmp_path / "forged.db")
    assert checked(forged).sound
    assert checked(forged, known).damage == Damage.REWRITTEN
    assert checked(original, known).sound


def test_a_ledger_shorter_than_the_head_written_down_is_found(copy: Path) -> None:
    """A head further than the last fact tells of a cut."""
    found = checked(copy, Head(COUNT + 3, "00"))
    assert (found.damage, found.broken_at) == (Damage.TRUNCATED, COUNT + 1)


def test_an_export_can_be_verified_without_this_program(copy: Path) -> None:
    """The chain is recomputed from exported JSON with nothing but SHA-256 and the rule in the ADR."""

    def sha(*values: object) -> str:
        strings = ["-," if value is None else f"{len(str(value).encode())}:{value}," for value in values]
        return hashlib.sha256("".join(strings).encode()).hexdigest()

    with closing(sqlite3.connect(copy)) as connection:
        ((ledger_id,),) = connection.execute("SELECT ledger_id FROM meta")
    previous = sha("edge101 ledger", ledger_id)
    for record in map(json.loads, map(json.dumps, export(f"sqlite:///{copy}"))):
        kept, digest = record.pop("personal"), record.pop("hash")
        private = hashlib.sha256((kept["salt"] + kept["body"]).encode()).hexdigest()
        previous = sha(previous, *record.values())
        assert (previous, record["personal_digest"]) == (digest, private)
    assert previous == head(f"sqlite:///{copy}").hash
