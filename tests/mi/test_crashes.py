"""A reader that crashes anywhere, a server that is killed anywhere: every fact exactly once after doubles are dropped."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import urlencode

import pytest

from edge.ledger.store import SqlLedger, open_sql_ledger
from edge.mi.services import open_services
from edge.views.caller import ensure_key
from tests.config.conftest import GOOD
from tests.mi.record import FACTS_PER_CALL, write

READER_CRASHES = 0.25
"""How likely at each of the four places of a page."""
KILL_EVERY_PAGES = 12
PATIENCE_SECONDS = 60.0


class CrashError(Exception):
    """The reader is no more; what it had on disk stays."""


class Process:
    """`edge mi` as it runs on an appliance, at a port that stays the same, killed and started again."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.configuration = folder / "edge101.toml"
        self.configuration.write_text(
            f'{GOOD}\n[ledger]\nurl = "sqlite:///{folder}/ledger.sqlite"\n[mi]\nport = {self.port}\n'
            "requests_per_minute = 1000000\nrequests_per_minute_of_address = 1000000\n"
        )
        for name in ("ari", "ami"):
            (folder / f"{name}.password").write_text("a-secret-word")
        self._log = (folder / "mi.log").open("w")
        self.kills = 0
        self.start()

    def start(self) -> None:
        """Start it; who asks waits until it answers."""
        command = [sys.executable, "-m", "edge", "--config", str(self.configuration), "mi"]
        self.running = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def kill(self) -> None:
        """As the kernel does it, without a word."""
        self.running.send_signal(signal.SIGKILL)
        self.running.wait()
        self.kills += 1

    def stop(self) -> None:
        """As systemd does it. It ends well."""
        self.running.terminate()
        assert self.running.wait(PATIENCE_SECONDS) in (0, -signal.SIGTERM)
        self._log.close()


@contextmanager
def process(folder: Path) -> Iterator[Process]:
    """One that is ended whatever happens."""
    made = Process(folder)
    try:
        yield made
        made.stop()
    finally:
        if made.running.poll() is None:
            made.kill()


@dataclass
class Reader:
    """A reader as docs/mi.md has it: facts to disk, then the cursor, then the acknowledgement. `disk` outlives its crashes."""

    port: int
    token: str
    chance: Random
    crashes: int = 0
    received: int = 0
    pages: int = 0
    disk: dict[str, int] = field(default_factory=dict)
    """Id -> sequence; an id that is there already is a double."""
    cursor: str | None = None
    acknowledged: int = 0

    def pull(self, limit: int) -> bool:
        """One page; whether there is more. Raises `CrashError`, or what the network says."""
        query = {"limit": limit, **({"cursor": self.cursor} if self.cursor else {})}
        answer, body = self._ask("GET", f"/v1/facts?{urlencode(query)}")
        facts = [json.loads(line) for line in body.splitlines()]
        self.received += len(facts)
        self._may_crash()
        for fact in facts[: len(facts) // 2]:
            self.disk[fact["id"]] = fact["sequence"]
        self._may_crash()
        for fact in facts:
            self.disk[fact["id"]] = fact["sequence"]
        self._may_crash()
        self.cursor = answer.headers["Edge101-Cursor"]
        self._may_crash()
        _, said = self._ask("POST", "/v1/acknowledgements", json.dumps({"cursor": self.cursor}))
        self.acknowledged = json.loads(said)["position"]
        self.pages += 1
        return answer.headers["Edge101-More"] == "true"

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/x-ndjson"}
        try:
            connection.request(
                method, path, body, headers | ({"Content-Type": "application/json"} if body else {})
            )
            answer = connection.getresponse()
            read = answer.read()
        finally:
            connection.close()
        assert answer.status == 200, read
        return answer, read

    def _may_crash(self) -> None:
        if self.chance.random() < READER_CRASHES / 4:
            self.crashes += 1
            raise CrashError


def pull_all(reader: Reader, server: Process, wanted: int, limit: int, kills: int) -> None:
    """Until the reader has so many facts, with the server killed so often in the middle of a page."""
    deadline = time.monotonic() + PATIENCE_SECONDS * 10
    killed_at = 0
    while len(reader.disk) < wanted:
        assert time.monotonic() < deadline, (len(reader.disk), reader)
        if server.kills < kills and reader.pages >= killed_at + KILL_EVERY_PAGES:
            killed_at = reader.pages
            killing = threading.Timer(reader.chance.uniform(0, 0.02), server.kill)
            killing.start()
            while killing.is_alive():
                try_once(reader, limit)
            server.start()
        if not try_once(reader, limit):
            time.sleep(0.02)


def try_once(reader: Reader, limit: int) -> bool:
    """A page; or a crash, or a server that is not there at this moment: False."""
    try:
        reader.pull(limit)
    except (CrashError, OSError, http.client.HTTPException):
        return False
    return True


def judge(reader: Reader, facts: int, folder: Path) -> None:
    """Nothing lost, nothing doubled, and what was acknowledged is what the reader has."""
    assert sorted(reader.disk.values()) == list(range(1, facts + 1))
    assert reader.received >= facts
    services = open_services(f"sqlite:///{folder / 'ledger.sqlite'}")
    (known,) = services.acknowledgements.all("central")
    pulls = services.disclosures.page(0, 1_000_000)
    services.close()
    assert reader.acknowledged <= known.position <= facts
    assert sum(pull.count for pull in pulls) >= reader.received, (
        "whatever was received had been written down before"
    )


def prepared(folder: Path, calls: int) -> tuple[SqlLedger, str]:
    """A ledger that is being written, and a token for it."""
    url = f"sqlite:///{folder / 'ledger.sqlite'}"
    ledger = open_sql_ledger(url)
    ensure_key(url)
    write(ledger, calls)
    services = open_services(url)
    token = services.tokens.add("central", ["facts"], 1, "test")[1]
    services.close()
    return ledger, token


def crash(folder: Path, calls: int, limit: int, kills: int, seed: int) -> Reader:
    """Half of the calls are there at the beginning, the others come while they are pulled."""
    ledger, token = prepared(folder, calls // 2)
    with process(folder) as server:
        reader = Reader(server.port, token, Random(seed))
        writing = threading.Thread(target=write, args=(ledger, calls - calls // 2, calls // 2, 20))
        writing.start()
        pull_all(reader, server, calls * FACTS_PER_CALL, limit, kills)
        writing.join()
        assert server.kills == kills
    ledger.close()
    judge(reader, calls * FACTS_PER_CALL, folder)
    return reader


def test_every_fact_once_whatever_crashes(tmp_path: Path) -> None:
    reader = crash(tmp_path, calls=300, limit=110, kills=2, seed=6)
    assert reader.crashes >= 3
    assert reader.received > 300 * FACTS_PER_CALL, "doubles came, and were dropped"


@pytest.mark.endurance
@pytest.mark.parametrize("seed", [int(os.environ.get("SEED", "1"))])
def test_a_million_facts_once_whatever_crashes(tmp_path: Path, seed: int) -> None:
    reader = crash(tmp_path, calls=62_500, limit=1500, kills=25, seed=seed)
    assert reader.crashes >= 100
