"""`hwtest lab fault ... -- COMMAND`: a command that a signal ends has the time to end its calls and to write its report."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = """
import pathlib, signal, sys, threading
signalled = threading.Event()
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: signalled.set())
pathlib.Path(sys.argv[1]).touch()
signalled.wait(30)
threading.Event().wait(0.6)  # a report takes a moment
pathlib.Path(sys.argv[2]).write_text("whole")
sys.exit(2)
"""
AROUND = """
import signal, sys
from hwtest.cli import _interrupt
from hwtest.lab.command import _while
signal.signal(signal.SIGTERM, _interrupt)
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job ignores
sys.exit(_while((sys.executable, "-c", *sys.argv[1:])))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_has_its_time_to_end(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, which both get, and SIGTERM, which is passed on; the status is the command's own."""
    begun, report = tmp_path / "begun", tmp_path / "report"
    words = (sys.executable, "-c", AROUND, COMMAND, str(begun), str(report))
    with subprocess.Popen(words, start_new_session=True) as around:
        try:
            while not begun.exists():
                assert around.poll() is None
            if number is signal.SIGINT:
                os.killpg(around.pid, number)
            else:
                around.send_signal(number)
            assert around.wait(30) == 2
        finally:
            around.kill()
    assert report.read_text() == "whole"
