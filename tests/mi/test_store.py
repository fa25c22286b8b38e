"""MI's own file, cursors, places and limits: what they hold and what they refuse."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st

from edge.config import ConfigurationError, load
from edge.errors import PermanentError
from edge.ledger.migrations import alembic_config
from edge.mi import schema
from edge.mi.cursors import Cursor, CursorError, Cursors, digest_of
from edge.mi.places import directory_of
from edge.mi.store import FILE, open_store
from edge.mi.tokens import Tokens
from edge.ports import LedgerError
from tests.config.conftest import GOOD

CURSORS = Cursors(b"k" * 32)
MIGRATIONS = Path(schema.__file__).parent / "migrations"


def test_the_schema_is_what_its_revisions_make(tmp_path: Path) -> None:
    found = ScriptDirectory.from_config(alembic_config(MIGRATIONS))
    assert tuple(each.revision for each in reversed(list(found.walk_revisions()))) == schema.REVISIONS
    store = open_store(tmp_path)
    with store.transaction() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    store.close()


def test_two_that_open_it_for_the_first_time(tmp_path: Path) -> None:
    found: list[bytes] = []

    def open_and_take() -> None:
        store = open_store(tmp_path)
        found.append(store.key("cursors"))
        store.close()

    threads = [threading.Thread(target=open_and_take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_a_file_of_somebody_else_or_of_a_newer_version(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / FILE)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(LedgerError, match="is not MI's"):
        open_store(tmp_path)
    (tmp_path / FILE).unlink()
    open_store(tmp_path).close()
    newer = sqlite3.connect(tmp_path / FILE)
    newer.execute("UPDATE alembic_version SET version_num = '9999'")
    newer.commit()
    newer.close()
    with pytest.raises(LedgerError, match="newer"):
        open_store(tmp_path)


def test_what_no_token_is_made_of(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    tokens = Tokens(store, lambda: 0, lambda: 0)
    for reader, scopes in (
        ("", ["facts"]),
        ("A B", ["facts"]),
        ("x" * 41, ["facts"]),
        ("a", []),
        ("a", ["root"]),
    ):
        with pytest.raises(ValueError, match=r"reader's name|no scope"):
            tokens.add(reader, scopes, 1, "test")
    with pytest.raises(ValueError, match="add facts or calls"):
        tokens.add("a", ["numbers"], 1, "test")
    store.close()


@given(
    stream=st.sampled_from(["facts", "calls"]),
    ledger_id=st.text("0123456789abcdef", min_size=32, max_size=32),
    position=st.integers(0, 2**63 - 1),
    filters=st.text("0123456789abcdef", max_size=16),
)
def test_a_cursor_reads_back(stream: str, ledger_id: str, position: int, filters: str) -> None:
    cursor = Cursor(
        stream=stream, ledger_id=ledger_id, position=position, filters=filters, hash=ledger_id[:16]
    )
    text = CURSORS.text(cursor)
    assert CURSORS.read(text, stream) == cursor
    assert CURSORS.read(text, None) == cursor
    assert text.isascii()
    with pytest.raises(CursorError, match="belongs to"):
        CURSORS.read(text, "other")
    with pytest.raises(CursorError, match="did not make it"):
        Cursors(b"o" * 32).read(text, stream)


@given(st.text(max_size=600))
def test_no_text_is_a_cursor_but_ours(text: str) -> None:
    with pytest.raises(CursorError):
        CURSORS.read(text, "facts")


def test_filters_are_told_apart() -> None:
    assert digest_of({"kind": (), "since": None}) == ""
    told = [
        digest_of(given) for given in ({"kind": ("A",)}, {"line": ("A",)}, {"kind": ("A", "B")}, {"since": 0})
    ]
    assert len({*told, ""}) == 5
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})


def test_where_its_files_are() -> None:
    assert directory_of("sqlite:////var/lib/edge101/ledger.sqlite") == Path("/var/lib/edge101/mi")
    assert directory_of("postgresql://x/y", Path("/srv/mi")) == Path("/srv/mi")
    with pytest.raises(PermanentError, match="directory ="):
        directory_of("postgresql://x/y")


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ('address = "0.0.0.0"', "there is no TLS"),
        ('address = "mi.example"', "must be an IP address"),
        ('certificate_file = "mi.crt"', "there is no key for it"),
        ('key_file = "mi.key"', "means nothing without a certificate"),
        ("port = 0", "mi.port"),
        ("connections = 0", "mi.connections"),
        ("pages = 3", "unknown key"),
    ],
)
def test_what_the_configuration_refuses(tmp_path: Path, section: str, complaint: str) -> None:
    for name in ("ari", "ami"):
        (tmp_path / f"{name}.password").write_text("a-secret-word")
    file = tmp_path / "edge101.toml"
    file.write_text(f"{GOOD}\n[mi]\n{section}\n")
    with pytest.raises(ConfigurationError, match=complaint):
        load(file)


def test_files_of_tls_stand_beside_the_configuration(tmp_path: Path) -> None:
    for name in ("ari.password", "ami.password", "mi.crt"):
        (tmp_path / name).write_text("a-secret-word")
    file = tmp_path / "edge101.toml"
    file.write_text(f'{GOOD}\n[mi]\naddress = "10.0.0.1"\ncertificate_file = "mi.crt"\nkey_file = "mi.key"\n')
    made = load(file)
    assert (made.mi.certificate_file, made.mi.key_file) == (tmp_path / "mi.crt", tmp_path / "mi.key")
    assert ["mi.key is not there" in str(warning) for warning in made.warnings].count(True) == 1
