"""Four kinds of trouble, named by what the caller must do about them (ADR 0003).

`PermanentError`: stop, exit 78, a person must mend it. `LinkError`: reconnect. `RefusedError`: this request failed, the link
is fine. Everything else is a programming fault and is not caught.
"""

from __future__ import annotations

EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: systemd's RestartPreventExitStatus keeps a misconfigured service down instead of looping."""

EXIT_HUNG = 70
"""EX_SOFTWARE: the loop did not go round, and we ended ourselves; started again."""
EXIT_UNWELL = 69
"""EX_UNAVAILABLE: the switch does not carry out what it is asked; its own queue has the callers. Started again."""


class PermanentError(Exception):
    """Trying again cannot help. The message says what is wrong, where, and the line that mends it."""


class LinkError(Exception):
    """The connection is gone or silent: whatever was asked has an unknown outcome."""


class RefusedError(Exception):
    """The switch understood and said no."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
