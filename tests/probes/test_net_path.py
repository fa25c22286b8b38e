"""net.path: echoes in, verdict and finding out; and a real path that is too narrow, in a network of its own."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from hwtest import echo
from hwtest.echo import EXPEDITED, Echo, Echoes, EchoUnavailableError, echoes
from hwtest.probes.contract import Layer, Verdict
from hwtest.probes.net_path import PROBE, judge
from hwtest.probes.sheet import Sheet

NARROW = """
import asyncio, json, tempfile
from pathlib import Path
from hwtest.probes import net_path
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from tests.probes.made import LIVE

async def main():
    sheet = Sheet(net_path.PROBE)
    async with Site(LIVE, Path(tempfile.gettempdir())) as site:
        await net_path.measure(site, sheet)
    print(json.dumps([[f.code, f.layer, f.verdict] for f in sheet.findings]))

net_path.COUNT, net_path.ASKED = 20, 1
asyncio.run(main())
"""


def back(trips: list[float], dscp: int = EXPEDITED, sent: int | None = None) -> Echoes:
    """Answers after so many milliseconds each; the last ones of `sent` never came."""
    answers = tuple(Echo(number, trip, dscp) for number, trip in enumerate(trips, 1))
    return Echoes(len(trips) if sent is None else sent, answers)


def judged(seen: Echoes, size: int | None = 1500) -> Sheet:
    """The sheet."""
    sheet = Sheet(PROBE)
    judge(sheet, "10.1.2.3", seen, size)
    return sheet


def test_a_good_path_passes() -> None:
    """Whatever its delay is, if it stays."""
    sheet = judged(back([20.0 + number % 5 for number in range(250)]))
    assert (sheet.verdict, sheet.findings) == (Verdict.PASS, [])


@pytest.mark.parametrize(
    ("seen", "size", "code", "verdict"),
    [
        (back([250.0] * 250), 1500, "slow", Verdict.WARN),
        (back([500.0] * 250), 1500, "slow", Verdict.FAIL),
        (back([20.0, 100.0] * 125), 1500, "unsteady", Verdict.WARN),
        (back([20.0, 190.0] * 125), 1500, "unsteady", Verdict.FAIL),
        (back([20.0] * 249, sent=250), 1500, "lost", Verdict.WARN),
        (back([20.0] * 242, sent=250), 1500, "lost", Verdict.FAIL),
        (back([20.0] * 250, dscp=0), 1500, "class", Verdict.WARN),
        (back([20.0] * 250), 1000, "short", Verdict.WARN),
        (back([20.0] * 250), 576, "short", Verdict.FAIL),
    ],
)
def test_a_fault_is_named(seen: Echoes, size: int, code: str, verdict: Verdict) -> None:
    """The network is blamed, for this and nothing else."""
    sheet = judged(seen, size)
    assert [(f.code, f.layer, f.verdict) for f in sheet.findings] == [
        (f"net.path.{code}", Layer.NETWORK, verdict)
    ]


def test_nothing_that_comes_back_is_no_pass() -> None:
    """Nor a failure: a firewall may keep echoes out."""
    assert judged(back([], sent=250), None).verdict is Verdict.NOT_MEASURED


def test_real_echoes() -> None:
    """On loopback all come back, with their class, and quickly."""
    try:
        seen = echoes("127.0.0.1", 20, 0.001, 200, dscp=EXPEDITED)
    except EchoUnavailableError as error:
        pytest.skip(str(error))
    assert [answer.number for answer in seen.answers] == list(range(1, 21))
    assert {answer.dscp for answer in seen.answers} == {EXPEDITED}
    assert all(0 < answer.round_trip_ms < 1000 for answer in seen.answers)


class Router:
    """Stands for a socket whose packets a router on the way finds too long: the kernel says so at the next receiving."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def setsockopt(self, *_: object) -> None:
        """Any."""

    def connect(self, *_: object) -> None:
        """Anywhere."""

    def fileno(self) -> int:
        """Readable once the router has answered."""
        return self.near.fileno()

    def send(self, data: bytes) -> int:
        """It leaves this machine whole."""
        self.far.send(b"!")
        return len(data)

    def recvmsg(self, *_: object) -> NoReturn:
        """What ICMP "fragmentation needed" comes to."""
        self.near.recv(1)
        raise OSError(errno.EMSGSIZE, "Message too long")


def test_a_router_that_finds_it_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so as it ought to: that is an answer about this size, and no end of the measurement."""
    router = Router()
    with router.near, router.far:
        monkeypatch.setattr(echo, "_open", lambda: contextlib.nullcontext((router, False)))
        seen = echoes("192.0.2.1", 3, 0.001, 1500, whole=True, wait_seconds=0.01)
    assert (seen.answers, seen.too_big) == ((), True)


def test_a_path_that_is_too_narrow() -> None:
    """A network of its own in which no packet of more than 900 bytes gets through whole: the probe fails and says so."""
    command = ("unshare", "--net", "sh", "-c", 'ip link set lo mtu 900 up && exec "$@"', "sh")
    if subprocess.run((*command, "true"), capture_output=True, check=False).returncode:
        pytest.skip("only root makes a network of its own")
    ended = subprocess.run(
        (*command, sys.executable, "-c", NARROW),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == [["net.path.short", "network", "fail"]]
