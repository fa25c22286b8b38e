"""Work that is worth nothing: `python -m hwtest.bench.burner CORE` keeps a core busy until it is killed, and gives way to all.

What a call loses beside it, it loses to no program of ours: to a scheduler that wakes others later, to caches, to the machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from edge.housekeeping import give_way

LOWEST = 19


@contextmanager
def every_core_busy() -> Iterator[list[int]]:
    """Each with a burner of its own, in a session of its own, as services are; their process ids."""
    burning = [
        subprocess.Popen([sys.executable, "-m", __name__, str(core)], start_new_session=True)
        for core in sorted(os.sched_getaffinity(0))
    ]
    try:
        yield [burner.pid for burner in burning]
    finally:
        for burner in burning:
            burner.kill()
            burner.wait()


def main() -> None:
    """The process."""
    give_way(LOWEST)
    os.sched_setaffinity(0, {int(sys.argv[1])})
    while True:
        pass


if __name__ == "__main__":
    main()
