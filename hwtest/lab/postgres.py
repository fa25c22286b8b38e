"""A real PostgreSQL server of our own: Debian's package, in a temporary folder, on a unix socket, as another user than root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg

from hwtest.lab.packages import LabError

OTHER_USERS = ("postgres", "nobody")
"""The server refuses to run as root."""
START_SECONDS = 60.0
LOOK_SECONDS = 0.05

SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "64MB",
    "max_connections": "40",
    "max_wal_size": "512MB",
    "log_min_messages": "warning",
}
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
"""For tests: they kill processes and not the machine, and the kernel keeps what those have written."""


def programs() -> Path:
    """The folder of the newest server that is installed. Raises `LabError`."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise LabError(
            "PostgreSQL is missing: run `make setup-tests`, which installs Debian's package postgresql"
        )
    return found[-1].parent


class Server:
    """One server. `folder` becomes its own; it is started by `start` and, whatever happened to it, started again by it."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder
        self._settings = SETTINGS if durable else SETTINGS | NOT_DURABLE
        self._user = next(name for name in OTHER_USERS if _known(name)) if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if self._user:
            shutil.chown(folder, self._user)
        self._run(
            "initdb", "--auth=trust", "--username=edge101", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"
        )

    def url(self, database: str = "postgres") -> str:
        """As the ledger and `edge ship` want it."""
        return f"postgresql+psycopg://edge101@/{database}?host={self.folder}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection that commits each statement."""
        return psycopg.connect(host=str(self.folder), user="edge101", dbname=database, autocommit=True)

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"ledger_{uuid4().hex[:12]}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def start(self) -> None:
        """Start it and wait until it takes connections; after a kill its own recovery comes first."""
        settings = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        command: Sequence[str | Path] = (
            programs() / "postgres",
            "-D",
            self._data,
            "-k",
            self.folder,
            *settings,
        )
        deadline = time.monotonic() + START_SECONDS
        log = self.folder / "log"
        while True:
            if (
                self._process is None or self._process.poll() is not None
            ):  # its dead predecessor's children linger
                with log.open("ab") as written:
                    self._process = subprocess.Popen(
                        command, stdout=written, stderr=written, user=self._user, group=self._group, cwd="/"
                    )
            try:
                self.connect().close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise LabError(f"PostgreSQL does not start: {log.read_text()[-2000:]}") from None
                time.sleep(LOOK_SECONDS)
            else:
                return

    def stop(self) -> None:
        """Stop it in order, ending connections (`fast` of pg_ctl)."""
        self._end(signal.SIGINT)

    def drop(self) -> None:
        """End it without tidying up what is thrown away (`immediate` of pg_ctl)."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """kill -9; its children notice and end by themselves."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(START_SECONDS)
            self._process = None

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _group(self) -> int | None:
        return pwd.getpwnam(self._user).pw_gid if self._user else None

    def _run(self, program: str, *arguments: str) -> None:
        command: Sequence[str | Path] = (programs() / program, "-D", self._data, *arguments)
        made = subprocess.run(
            command, user=self._user, group=self._group, cwd="/", capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise LabError(f"{program} failed: {made.stderr}")


def _known(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


@contextmanager
def server(*, durable: bool = True) -> Iterator[Server]:
    """A server that runs, and is gone afterwards with all that it held. Not `durable`: no fsync."""
    with tempfile.TemporaryDirectory(prefix="edge101-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        made = Server(Path(folder, "pg"), durable=durable)
        try:
            made.start()
            yield made
        finally:
            made.drop()
