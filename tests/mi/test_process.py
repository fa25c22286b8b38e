"""How `edge mi` stands beside the daemon: after it."""

import os
import subprocess
import sys

import pytest

from edge.housekeeping import NICENESS

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
