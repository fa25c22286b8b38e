"""Ctrl-C and SIGTERM: the first ends what runs in good order, a second one at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def on_first_signal(act: Callable[[], object]) -> Iterator[None]:
    """The first of either does this; the next raises KeyboardInterrupt. Inside a running loop, in the main thread.

    Afterwards they do what they did before. The loop alone would leave SIGTERM to end us without taking away what we made.
    """
    loop, before = asyncio.get_running_loop(), {number: signal.getsignal(number) for number in SIGNALS}

    def first() -> None:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.default_int_handler)
        act()

    for number in SIGNALS:
        loop.add_signal_handler(number, first)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])
