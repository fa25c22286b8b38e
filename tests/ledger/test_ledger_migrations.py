"""The schema of a ledger is brought up to date whole, or left as it was."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from edge.ledger import migrations, store
from edge.ledger.measure import arrivals
from edge.ledger.schema import REVISIONS, metadata
from edge.ledger.store import SqlLedger, open_reader, open_sql_ledger, verify
from edge.ports import LedgerError

NEXT = '''
"""A revision of tomorrow."""
import sqlalchemy as sa
from alembic import op

revision = "tomorrow"
down_revision = "0002"


def upgrade():
    op.add_column("meta", sa.Column("site", sa.Text))
    op.execute("DELETE FROM checkpoints")
    {then}
'''


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A ledger of today with facts and a checkpoint."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    with closing(open_sql_ledger(url)) as made:
        made.append(arrivals(1, 50))
        made.save_checkpoint(40, b"state")
    return url


def tomorrow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, then: str = "") -> None:
    """A program that knows one more revision."""
    location = tmp_path / "migrations"
    shutil.copytree(Path(migrations.__file__).parent, location)
    (location / "versions" / "tomorrow.py").write_text(NEXT.format(then=then))
    configured = migrations.alembic_config(location)
    monkeypatch.setattr(migrations, "alembic_config", lambda _: configured)
    monkeypatch.setattr(store, "REVISIONS", (*REVISIONS, "tomorrow"))


def test_the_known_revisions_are_those_of_alembic() -> None:
    """The list a reader trusts without importing Alembic is Alembic's own."""
    script = ScriptDirectory.from_config(migrations.alembic_config())
    assert tuple(each.revision for each in reversed(list(script.walk_revisions()))) == REVISIONS


def test_an_empty_database_is_migrated_to_the_schema_in_use(tmp_path: Path) -> None:
    """From nothing, the migrations make exactly the tables that the program reads and writes."""
    with (
        closing(open_sql_ledger(f"sqlite:///{tmp_path}/ledger.db")) as made,
        made._engine.connect() as connection,
    ):
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_opening_an_up_to_date_ledger_changes_nothing(url: str, tmp_path: Path) -> None:
    """A second start leaves the file byte for byte as it was."""
    before = (tmp_path / "ledger.db").read_bytes()
    open_sql_ledger(url).close()
    assert (tmp_path / "ledger.db").read_bytes() == before


def test_an_existing_ledger_is_migrated_with_its_facts(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a revision of tomorrow every fact reads as before, the chain holds and goes on."""
    before = open_head(url)
    tomorrow(monkeypatch, tmp_path)
    with closing(open_sql_ledger(url)) as migrated:
        assert columns(migrated, "meta")[-1] == "site"
        assert list(migrated.read()) == arrivals(1, 50)
        assert migrated.head() == before
        migrated.append(arrivals(51, 1))
        assert verify(migrated).count == 51


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a revision is none: columns, rows and revision are those of before, and the program of before opens it."""
    with monkeypatch.context() as patched:
        tomorrow(patched, tmp_path, then="op.execute('INSERT INTO nowhere VALUES (1)')")
        with pytest.raises(LedgerError, match="no such table: nowhere"):
            open_sql_ledger(url)
    with closing(open_sql_ledger(url)) as old:
        assert "site" not in columns(old, "meta")
        assert old.load_checkpoint() == (40, b"state")
        assert verify(old).count == 50


def test_a_reader_refuses_an_older_schema(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader never migrates: it says who does."""
    tomorrow(monkeypatch, tmp_path)
    with pytest.raises(
        LedgerError, match="its schema 0002 is older than this program's tomorrow; `edge run`"
    ):
        open_reader(url)


def test_a_newer_schema_is_refused_by_all(url: str, tmp_path: Path) -> None:
    """A ledger of a newer program is not touched by an older one."""
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as other, other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
    for use in (open_reader, open_sql_ledger):
        with pytest.raises(
            LedgerError, match="its schema 9999 is newer than this program's 0002; use a newer"
        ):
            use(url)


def open_head(url: str) -> tuple[int, str]:
    with closing(open_reader(url)) as reader:
        return reader.head()


def columns(ledger: SqlLedger, table: str) -> list[str]:
    with ledger._engine.connect() as connection:
        return [row[1] for row in connection.exec_driver_sql(f"PRAGMA table_info({table})")]
