"""How `edge mi` stands beside the daemon: after it."""

import os
import socket
import subprocess
import sys

import pytest

from edge.config.sections import MiSection
from edge.housekeeping import AUTOGROUP, NICENESS
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


SAY_OF_SESSION = "from edge.housekeeping import AUTOGROUP; print(AUTOGROUP.read_text().split()[-1])"
GIVE_WAY = "from edge.housekeeping import give_way; give_way()"


def niceness_of_session(code: str, *, own: bool) -> int:
    """What is said of it by a program that runs this, in a session of its own or in ours."""
    said = subprocess.check_output(
        [sys.executable, "-c", f"{code}; {SAY_OF_SESSION}"], text=True, start_new_session=own
    )
    return int(said)


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel does not share out by session")
def test_its_session_goes_after_the_daemons() -> None:
    """Niceness counts within a session only; a session that others are in as well is left alone."""
    assert niceness_of_session(GIVE_WAY, own=True) == NICENESS
    assert niceness_of_session(f"{GIVE_WAY}; give_way(5)", own=True) == NICENESS
    assert niceness_of_session(GIVE_WAY, own=False) == niceness_of_session("pass", own=False)


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
