"""`edge mi` of a lab: how it is started, and with which token other tools read it. Plain HTTP: all of a lab is on loopback."""

import http.client
import subprocess
import time
from pathlib import Path

import msgspec

from edge.clock import SystemClock
from edge.config import Configuration
from edge.mi.places import directory_of
from edge.mi.store import open_store
from edge.mi.tokens import SCOPES, Tokens
from hwtest.lab import daemon, processes
from hwtest.lab.contract import Lab, Mi
from hwtest.lab.packages import LabError
from hwtest.lab.ports import HOST
from hwtest.lab.processes import ProcessIdentity

START_SECONDS = 60.0
READER = "lab"
TOKEN_DAYS = 30.0
_POLL_SECONDS = 0.1


def start(directory: Path, lab: Lab, configuration: Configuration) -> Lab:
    """Starts it and waits until it can serve; the description of the lab with its address and a token. Raises LabError."""
    token = _token(configuration)
    log = directory / "log/mi.log"
    started = processes.start(daemon.mi_command(directory), log)
    port = configuration.mi.port
    wait_until_ready(port, started, log)
    lab = daemon.with_process(Lab.read(directory) or lab, "mi", ProcessIdentity.of(started.pid))
    lab = msgspec.structs.replace(lab, mi=Mi(url=f"http://{HOST}:{port}", token=token))
    lab.write()
    return lab


def wait_until_ready(port: int, started: subprocess.Popen[bytes], log: Path) -> None:
    """Until it can serve. Raises LabError."""
    deadline = time.monotonic() + START_SECONDS
    while not _ready(port):
        if started.poll() is not None or time.monotonic() > deadline:
            state = f"ended ({started.returncode})" if started.returncode is not None else "is not ready"
            raise LabError(f"edge mi {state}. Look at {log}.")
        time.sleep(_POLL_SECONDS)


def _token(configuration: Configuration) -> str:
    clock = SystemClock()
    store = open_store(directory_of(configuration.ledger.url, configuration.mi.directory))
    try:
        tokens = Tokens(store, lambda: clock.now().utc_us, lambda: clock.now().monotonic_ns)
        return tokens.add(READER, SCOPES, TOKEN_DAYS, "hwtest lab")[1]
    finally:
        store.close()


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5.0)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
