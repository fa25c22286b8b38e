"""`python -m hwtest.softphone build`: PJSUA2 for this Python, now rather than when it is first needed."""

from __future__ import annotations

import sys

from hwtest.lab.apt import LabError
from hwtest.softphone.build import obtain


def _say(text: str) -> None:
    sys.stdout.write(f"· {text}\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Build it, or say where it is."""
    if arguments != ["build"]:
        sys.stderr.write("Usage: python -m hwtest.softphone build\n")
        return 2
    try:
        library = obtain(progress=_say)
    except LabError as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    _say(f"pjsua2: {library.origin}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
