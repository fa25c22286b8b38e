"""`edge mi` of a lab: how it is started, and with which token other tools read it. Plain HTTP: all of a lab is on loopback."""

import http.client
import ssl
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

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
    mi = Mi(url=f"http://{HOST}:{configuration.mi.port}", token=_token(configuration))
    return run(msgspec.structs.replace(lab, mi=mi), daemon.mi_command(directory))


def run(lab: Lab, command: tuple[str, ...], *, secure: bool = False) -> Lab:
    """Starts it by this command and waits until it can serve; lab.json says so. `secure`: it speaks TLS. Raises LabError."""
    assert lab.mi.url is not None, "it has an address"
    directory, place = Path(lab.directory), urlsplit(lab.mi.url)
    assert place.port is not None, "and a port"
    log = directory / "log/mi.log"
    started = processes.start(command, log)
    wait_until_ready(place.port, started, log, secure=secure)
    known = daemon.with_process(Lab.read(directory) or lab, "mi", ProcessIdentity.of(started.pid))
    url = place._replace(scheme="https" if secure else "http").geturl()
    described = msgspec.structs.replace(known, mi=Mi(url=url, token=lab.mi.token))
    described.write()
    return described


def stop(directory: Path) -> None:
    """Ends it."""
    for running in processes.running(daemon.mi_command(directory)):
        running.stop(10)


def wait_until_ready(port: int, started: subprocess.Popen[bytes], log: Path, *, secure: bool = False) -> None:
    """Until it can serve. Raises LabError."""
    deadline = time.monotonic() + START_SECONDS
    while not _ready(port, secure=secure):
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


def _ready(port: int, *, secure: bool) -> bool:
    connection = _connection(port, secure=secure)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _connection(port: int, *, secure: bool) -> http.client.HTTPConnection:
    if not secure:
        return http.client.HTTPConnection(HOST, port, timeout=5.0)
    believing = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it is only asked whether it is there
    believing.check_hostname = False
    believing.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(HOST, port, timeout=5.0, context=believing)
