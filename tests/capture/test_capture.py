"""The capture on the real loopback; it needs CAP_NET_RAW and is skipped, saying so, without."""

import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from hwtest.capture import Capture, CaptureUnavailableError, __main__, process
from tests.capture.test_record import INVITE, RINGING

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two UDP sockets on loopback."""
    with socket.socket(type=socket.SOCK_DGRAM) as phone, socket.socket(type=socket.SOCK_DGRAM) as switch:
        phone.bind(("127.0.0.1", 0))
        switch.bind(("127.0.0.1", 0))
        yield phone, switch


@pytest.fixture
async def capture(pair: Pair) -> AsyncIterator[Capture]:
    """A capture of the switch's port."""
    try:
        async with Capture(pair[1].getsockname()[1]) as started:
            yield started
    except CaptureUnavailableError as error:
        pytest.skip(str(error))


async def test_each_message_once(pair: Pair, capture: Capture) -> None:
    """Both directions are seen, in order, each once, stamped between sending and receiving, with nothing lost."""
    phone, switch = pair
    before = time.time_ns()
    phone.sendto(INVITE, switch.getsockname())
    switch.sendto(RINGING, phone.getsockname())
    phone.recv(65535)
    after = time.time_ns()
    taken = await capture.take()
    ports = (phone.getsockname()[1], switch.getsockname()[1])
    assert [(r.label, r.source_port, r.destination_port) for r in taken.records] == [
        ("INVITE", *ports),
        ("180", *ports[::-1]),
    ]
    assert before <= taken.records[0].stamp_ns <= taken.records[1].stamp_ns <= after
    assert (taken.dropped, taken.malformed) == (0, 0)


async def test_only_what_is_new_and_ours(pair: Pair, capture: Capture) -> None:
    """Taking empties the capture, and what belongs to another port was never in it."""
    phone, switch = pair
    phone.sendto(INVITE, switch.getsockname())
    phone.sendto(INVITE, phone.getsockname())
    assert len((await capture.take()).records) == 1
    assert (await capture.take()).records == []


async def test_what_is_not_sip(pair: Pair, capture: Capture) -> None:
    """Junk is counted, and a keep-alive is not junk."""
    phone, switch = pair
    phone.sendto(b"junk", switch.getsockname())
    phone.sendto(b"\r\n\r\n", switch.getsockname())
    taken = await capture.take()
    assert (taken.records, taken.malformed) == ([], 1)


async def test_hundreds_at_once(pair: Pair, capture: Capture) -> None:
    """A burst is kept whole while nobody reads it."""
    phone, switch = pair
    for _ in range(2000):
        phone.sendto(INVITE, switch.getsockname())
    taken = await capture.take()
    assert (len(taken.records), taken.dropped) == (2000, 0)


def test_without_the_right_to_capture(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Without CAP_NET_RAW the process says what is missing and ends."""

    def refuse(port: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(__main__, "Sniffer", refuse)
    monkeypatch.setattr("sys.argv", ["capture", "5060"])
    __main__.main()
    said = msgspec.json.decode(capsysbinary.readouterr().out)
    assert said == {"error": "Operation not permitted: capturing needs CAP_NET_RAW (root)"}


async def test_a_process_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither says that it stands nor ends when it is told to: the reason is ours, and nothing stays behind."""
    hanging = tmp_path / "hanging"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o700)
    monkeypatch.setattr(process, "_START_SECONDS", 0.2)
    monkeypatch.setattr(process, "_STOP_SECONDS", 0.1)
    monkeypatch.setattr(sys, "executable", str(hanging))
    started = Capture(5060)
    with pytest.raises(CaptureUnavailableError, match="did not start within"):
        await started.__aenter__()
    assert started._process is not None and started._process.returncode == -signal.SIGKILL
