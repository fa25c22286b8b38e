"""Records of calls as a capture gives them."""

from __future__ import annotations

from hwtest.capture import Record

CALLER, SWITCH = 40001, 5060
MS = 1_000_000


def record(
    call: str, label: str, at_ms: float, *, method: str = "INVITE", branch: str = "1", in_dialog: bool = False
) -> Record:
    """One message; a status comes from the switch, a request from the caller."""
    source, destination = (SWITCH, CALLER) if label.isdecimal() else (CALLER, SWITCH)
    number = {"INVITE": 1, "ACK": 1, "REGISTER": 1}.get(method, 2)
    return Record(
        round(at_ms * MS),
        source,
        destination,
        label,
        method,
        number,
        call,
        branch,
        in_dialog,
        f"number of {call}",
    )


def call(
    name: str, status: str | None, at_ms: float = 0, *, ringing_ms: float = 5, final_ms: float = 20
) -> list[Record]:
    """A call from INVITE to its final answer; with None nothing is ever answered."""
    made = [record(name, "INVITE", at_ms)]
    if status is not None:
        made += [
            record(name, "100", at_ms + 1),
            record(name, "180", at_ms + ringing_ms),
            record(name, status, at_ms + final_ms),
        ]
    return made
