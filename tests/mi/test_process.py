"""How `edge mi` stands beside the daemon: after it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from edge.config.sections import MiSection
from edge.housekeeping import AUTOGROUP, NICENESS, _session_gives_way
from edge.mi.server import SEND_BUFFER_BYTES, listen

SAY = (
    "import os; from edge.housekeeping import give_way; give_way(); print(os.getpriority(os.PRIO_PROCESS, 0))"
)


@pytest.mark.parametrize(("before", "after"), [(0, NICENESS), (NICENESS + 5, NICENESS + 5)])
def test_it_goes_after_the_daemon(before: int, after: int) -> None:
    """However it was started; and never before what it was given."""
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    if ours > before:
        pytest.skip(f"the tests run at niceness {ours} themselves")
    said = subprocess.check_output(["nice", "-n", str(before - ours), sys.executable, "-c", SAY], text=True)
    assert int(said) == after


SAY_OF_SESSION = "from edge.housekeeping import AUTOGROUP; print(AUTOGROUP.read_text())"
GIVE_WAY = "from edge.housekeeping import give_way; give_way()"


def told_of_session(code: str, *, own: bool) -> str:
    """What the kernel says of the group ("/autogroup-7 nice 10") of a program that runs this, in its own session or in ours."""
    return subprocess.check_output(
        [sys.executable, "-c", f"{code}; {SAY_OF_SESSION}"], text=True, start_new_session=own
    ).strip()


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel does not share out by session")
def test_its_session_goes_after_the_daemons() -> None:
    """Niceness counts within a session only; a session that others are in as well is left alone, and one that is in no group,
    as the first of a container is, is no failure."""
    assert told_of_session(GIVE_WAY, own=True).endswith(f" nice {NICENESS}")
    assert told_of_session(f"{GIVE_WAY}; give_way(5)", own=True).endswith(f" nice {NICENESS}")
    assert told_of_session(GIVE_WAY, own=False) == told_of_session("pass", own=False)


@pytest.mark.parametrize("text", ["", "/autogroup-7", "/autogroup-7 nice ten"], ids=["none", "short", "odd"])
def test_a_kernel_that_tells_something_else_is_no_failure(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session in no group reads as nothing."""
    told = tmp_path / "autogroup"
    told.write_text(text, encoding="ascii")
    monkeypatch.setattr("edge.housekeeping.AUTOGROUP", told)
    _session_gives_way(NICENESS)
    assert told.read_text(encoding="ascii") == text


def test_no_portion_of_a_page_waits_for_an_acknowledgement() -> None:
    """Each connection sends at once, and what the kernel keeps of a slow reader's page is bounded."""
    with (
        listen(MiSection().model_copy(update={"port": 0})) as listener,
        socket.create_connection(listener.getsockname()),
    ):
        served, _ = listener.accept()
        with served:
            assert served.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            assert served.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * SEND_BUFFER_BYTES
