"""A ledger on a real PostgreSQL server: one writer, its server's deaths, and errors that say how to mend them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from edge.core.facts import AgentBecameNotReady
from edge.ledger.maintenance import Warrant
from edge.ledger.measure import arrivals
from edge.ledger.postgres import PostgresSchema
from edge.ledger.schema import REVISIONS, metadata
from edge.ledger.store import erase, open_ledger, open_reader, open_sql_ledger, statistics, verify
from edge.ledger.text import with_nul, without_nul
from edge.ports import LedgerError
from hwtest.lab.postgres import Server

SECRET = "hunter2hunter2"


@pytest.fixture
def url(postgres: Server) -> str:
    return postgres.database()


@pytest.fixture
def restarted(postgres: Server) -> Iterator[Server]:
    """The server, which runs again after the test whatever was done to it."""
    yield postgres
    postgres.start()


def test_the_migrations_make_the_schema_in_use(url: str) -> None:
    """The same revisions as for SQLite make exactly the tables that the program reads and writes, once."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    for _ in range(2):
        with closing(open_sql_ledger(url)) as made, made._engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
            assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").all() == [
                (REVISIONS[-1],)
            ]


def test_one_writer_and_any_readers(url: str) -> None:
    """A second daemon is refused and told whose session it is; a reader sees what was committed."""
    with closing(open_sql_ledger(url)) as ledger:
        ledger.append(arrivals(1, 3))
        with pytest.raises(
            LedgerError, match=r"another daemon writes to it \(its session \d+ from this machine"
        ):
            open_sql_ledger(url)
        with closing(open_reader(url)) as reader:
            assert list(reader.read()) == arrivals(1, 3)
    found = statistics(url)
    assert (found.facts, found.personal, found.size_bytes > 0) == (3, 3, True)
    open_sql_ledger(url).close()


def test_a_killed_server(restarted: Server, url: str) -> None:
    """Nothing that was committed is lost; the writer is told, goes on by itself, and is still the only one."""
    with closing(open_sql_ledger(url)) as ledger:
        ledger.append(arrivals(1, 2000))
        restarted.kill()
        with pytest.raises(LedgerError, match="cannot be reached"):
            ledger.append(arrivals(2001, 1))
        restarted.start()
        ledger.append(arrivals(2001, 5))
        with pytest.raises(LedgerError, match="another daemon writes to it"):
            open_sql_ledger(url)
        assert verify(ledger).count == 2005


def test_whoever_lost_the_lock_writes_nothing(restarted: Server, url: str) -> None:
    """While our connection was gone another daemon came: it is told, and the chain is the other's."""
    with closing(open_sql_ledger(url)) as ledger:
        ledger.append(arrivals(1, 2))
        restarted.kill()
        restarted.start()
        with closing(open_sql_ledger(url)) as other:
            other.append(arrivals(3, 1))
            with pytest.raises(LedgerError, match="another daemon writes to it"):
                ledger.append(arrivals(3, 1))
        assert verify(url).count == 3


def test_erasing(url: str) -> None:
    """The rows are gone, the chain holds; that the server's own log keeps them for a while is said."""
    with closing(open_sql_ledger(url)) as ledger:
        ledger.append(arrivals(1, 4))
    done = erase(url, sequences=[1, 2], warrant=Warrant("ann", "test"))
    assert (done.facts, done.purged, "write-ahead log" in done.lingers) == (2, False, True)
    assert verify(url).erased == 2


@pytest.mark.parametrize("text", ["", "\0", "a\0b", "\ufdd0", "\ufdd01\0\ufdd00", "plain \u2028 text"])
def test_text_that_postgresql_cannot_hold(url: str, text: str) -> None:
    """A NUL, and what stands for it, are read back as they were written."""
    assert (with_nul(without_nul(text)), "\0" in without_nul(text)) == (text, False)
    entry = replace(
        arrivals(1, 1)[0], fact=AgentBecameNotReady(agent=f"4001{text}", reason="meal"), reason=text
    )
    with closing(open_ledger(url)) as ledger:
        ledger.append([entry])
        assert list(ledger.read()) == [entry]


def test_an_empty_database_is_no_ledger_yet(url: str) -> None:
    """A reader makes nothing."""
    with pytest.raises(LedgerError, match="it is still empty; `edge run` prepares it"):
        open_reader(url)


def test_somebody_elses_database(postgres: Server, url: str) -> None:
    """Tables that are not ours are not touched."""
    with postgres.connect(url.partition("@/")[2].partition("?")[0]) as connection:
        connection.execute("CREATE TABLE orders (id int)")
    with pytest.raises(LedgerError, match="this database is no Edge101 ledger; name another"):
        open_sql_ledger(url)


def test_errors_say_what_to_do(postgres: Server, url: str) -> None:
    """A database that is not there, a folder without a server, a user without rights."""
    missing = url.replace("@/ledger_", "@/no_such_")
    with pytest.raises(LedgerError, match=r'database "no_such_[a-f0-9]+" does not exist'):
        open_reader(missing)
    with pytest.raises(LedgerError, match=r"it cannot be reached .*; see whether PostgreSQL runs"):
        open_reader("postgresql+psycopg://edge101@/ledger?host=/nonexistent")
    open_sql_ledger(url).close()
    with postgres.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS nobody_much")
        connection.execute("CREATE ROLE nobody_much LOGIN")
    with pytest.raises(LedgerError, match=r"this user may not do that \(42501\)"):
        open_reader(url.replace("edge101@", "nobody_much@"))


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://edge101:{SECRET}@127.0.0.1:1/ledger",
        f"postgresql://edge101:{SECRET}@10.1.2.3/ledger",
        f"postgresql://edge101:{SECRET}@db.example/ledger?sslmode=require",
        f"postgresql://edge101:{SECRET}@/",
        f"postgresql://edge101:{SECRET}@127.0.0.1/x?ledger=../../x",
        f"postgresql://edge101:{SECRET}@[x/ledger",
        f"mysql://edge101:{SECRET}@127.0.0.1/ledger",
    ],
)
def test_no_error_shows_the_password(url: str) -> None:
    """Whatever is wrong with an URL: its password is not repeated."""
    with pytest.raises(LedgerError) as refused:
        open_reader(url)
    assert SECRET not in str(refused.value)


def test_callers_numbers_cross_no_network_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine must have proved who it is; this machine and a socket need not."""
    from sqlalchemy.engine import make_url

    with pytest.raises(LedgerError, match=r"db\.example is another machine, and without TLS"):
        PostgresSchema(make_url("postgresql://u@db.example/ledger?sslmode=require"))
    with pytest.raises(LedgerError, match=r"b\.example is another machine"):
        PostgresSchema(make_url("postgresql://u@/ledger?host=localhost,b.example"))
    with pytest.raises(LedgerError, match=r"10\.1\.2\.3 is another machine"):
        PostgresSchema(make_url("postgresql://u@localhost/ledger?hostaddr=127.0.0.1,10.1.2.3"))
    with pytest.raises(LedgerError, match="a service of libpq's"):
        PostgresSchema(make_url("postgresql://u@localhost/ledger?service=far"))
    for name, value, said in (
        ("PGHOSTADDR", "10.1.2.3", r"10\.1\.2\.3 is another machine"),
        ("PGSERVICE", "far", "a service of libpq's"),
    ):
        with monkeypatch.context() as with_it, pytest.raises(LedgerError, match=said):
            with_it.setenv(name, value)
            PostgresSchema(make_url("postgresql://u@localhost/ledger"))
    for well in (
        "u@/l",
        "u@localhost/l",
        "u@localhost/l?hostaddr=127.0.0.1",
        "u@/l?host=/run/postgresql",
        "u@db.example/l?sslmode=verify-full",
    ):
        PostgresSchema(make_url(f"postgresql://{well}"))
