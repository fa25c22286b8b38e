"""The ladder of a call: every message between its parties in order of time, from the phones' own stamps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hwtest.capture.record import may_repeat
from hwtest.probes.contract import Ladder, Message
from hwtest.useragent.call import Call


class Leg(NamedTuple):
    """One party's call with the switch."""

    party: str
    call: Call


SWITCH = 1
"""The switch stands between the first party and the others."""


def ladder_of(title: str, legs: Sequence[Leg], switch: str = "switch") -> Ladder:
    """The first leg's party stands left of the switch, the others right of it."""
    parties = [legs[0].party, switch, *(leg.party for leg in legs[1:])]
    rows = list[tuple[int, Message]]()
    for index, leg in enumerate(legs):
        own = 0 if index == 0 else index + 1
        seen = set[tuple[object, ...]]()
        for entry in leg.call.trace:
            identity = (entry.direction, entry.label, entry.method, entry.sequence_number)
            sent = entry.direction == "sent"
            label = entry.label if not entry.label.isdigit() else f"{entry.label} ({entry.method})"
            message = Message(
                at_ms=0.0,
                source=own if sent else SWITCH,
                target=SWITCH if sent else own,
                label=label,
                call_id=leg.call.dialog.call_id,
                repeated=identity in seen and not may_repeat(entry.label),
            )
            seen.add(identity)
            rows.append((entry.monotonic_ns, message))
    rows.sort(key=lambda row: row[0])
    first_ns = rows[0][0] if rows else 0
    return Ladder(
        title=title,
        parties=tuple(parties),
        messages=tuple(
            Message(
                at_ms=(at_ns - first_ns) / 1e6,
                source=message.source,
                target=message.target,
                label=message.label,
                call_id=message.call_id,
                repeated=message.repeated,
            )
            for at_ns, message in rows
        ),
    )


def numbers_of(ladder: Ladder, label: str) -> tuple[int, ...]:
    """Numbers, from 1, of the messages whose label begins so."""
    return tuple(
        number for number, message in enumerate(ladder.messages, 1) if message.label.startswith(label)
    )


def drawn(ladder: Ladder, width: int = 24) -> list[str]:
    """As lines of text, for a terminal."""
    lines = [" " * 14 + "".join(f"{party:^{width}}" for party in ladder.parties)]
    middle = width // 2
    for number, message in enumerate(ladder.messages, 1):
        left, right = sorted((message.source, message.target))
        length = (right - left) * width - 2
        label = f" {message.label}{' again' if message.repeated else ''} "
        arrow = f"{label:-^{length}}"
        arrow = f"{arrow}>" if message.source < message.target else f"<{arrow}"
        lines.append(f"{number:3} {message.at_ms:8.1f}  " + " " * (left * width + middle) + arrow)
    return lines
