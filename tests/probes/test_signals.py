"""Ctrl-C and SIGTERM in a running loop."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from hwtest.signals import SIGNALS, on_first_signal


@pytest.mark.parametrize("number", SIGNALS)
async def test_the_first_is_acted_upon_and_the_next_interrupts(number: signal.Signals) -> None:
    """And afterwards everything is as it was."""
    before, came = [signal.getsignal(each) for each in SIGNALS], asyncio.Event()
    with on_first_signal(came.set):
        os.kill(os.getpid(), number)
        await asyncio.wait_for(came.wait(), 10)
        assert [signal.getsignal(each) for each in SIGNALS] == [signal.default_int_handler] * 2
    assert [signal.getsignal(each) for each in SIGNALS] == before
