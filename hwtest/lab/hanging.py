"""The daemon word for word, whose loop can be made to stand still by SIGUSR1.

python -m hwtest.lab.hanging --config FILE run
"""

import signal
import time

HANGING_SECONDS = 60.0


def hang(*_: object) -> None:
    """Keep whatever runs from running: a signal's handler runs in the loop's own thread, between two of its instructions."""
    time.sleep(HANGING_SECONDS)


if __name__ == "__main__":
    from edge.cli import main

    signal.signal(signal.SIGUSR1, hang)
    main()
