"""`hwtest watch`: safe probes and a heartbeat, again and again, each verdict a fact of the daemon's record.

The daemon alone writes facts. It is told as `edge note` tells it, by a user event over the switch's AMI; where the record can be
read, it is seen that the facts are there.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import socket
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hwtest.probes.contract import Figure, NotMeasuredError, Probe, Verdict
from hwtest.probes.sheet import summary_of
from hwtest.report.redaction import masked
from hwtest.report.result import ProbeResult
from hwtest.running import Watcher, run
from hwtest.site import Site
from hwtest.target import Target

if TYPE_CHECKING:
    from edge.ledger.store import SqlReader

RECORDED_SECONDS = 5.0
"""A daemon that is well takes some milliseconds."""
LOOK_SECONDS = 0.05
LONGEST_FIGURE = 80
_UNSUITABLE = re.compile(r"[^A-Za-z0-9 _.:/+@#()'-]+")
_WORDS = {"%": " percent", "µ": "u", "≥": "at least ", "≤": "at most "}


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round."""

    results: tuple[ProbeResult, ...]
    trouble: str | None
    """Why the record does not have it; None when it does, or when nobody can read whether it does."""
    interrupted: bool = False
    """Whether a person has ended it."""
    seen: bool
    """Whether it was read in the record."""


async def round_of(
    target: Target, probes: Sequence[Probe], watcher: Watcher, seed: int, placed: deque[float] | None = None
) -> Round:
    """Run the probes once, and tell the daemon what each came to.

    `placed`: when calls were placed in the rounds before, which count towards those that a live target takes in a minute.
    """
    with tempfile.TemporaryDirectory(prefix="hwtest-watch-") as folder:
        async with Site(target, Path(folder), seed=seed, placed=placed) as site:
            made = await run(site, probes, watcher, ["watch"], seed)
            if made.interrupted:
                return Round(results=made.probes, trouble="ended by a person", interrupted=True, seen=False)
            trouble, seen = await tell(site, made.probes)
            return Round(results=made.probes, trouble=trouble, seen=seen)


async def tell(site: Site, results: Sequence[ProbeResult]) -> tuple[str | None, bool]:
    """Report the results; what was wrong, and whether they were read in the record."""
    from edge.core.model import CheckVerdict
    from edge.errors import LinkError, PermanentError, RefusedError
    from edge.pbx.asterisk.notices import report_check
    from edge.ports import LedgerError

    by = checker()
    try:
        with _reader(site.target) as reader:
            before = reader.last_sequence() if reader is not None else 0
            client = await site.control()
            for result in results:
                verdict = CheckVerdict(result.verdict.value)
                await report_check(client, result.name, verdict, words_of(result), by)
            if reader is None:
                return None, False
            missing = await _missing(reader, before, {result.name for result in results})
    except NotMeasuredError as error:
        return error.reason, False
    except (LinkError, PermanentError, RefusedError, LedgerError, OSError) as error:
        return str(error), False
    if missing:
        return f"the daemon has not recorded {', '.join(sorted(missing))}: see `edge status`", False
    return None, True


@contextmanager
def _reader(target: Target) -> Iterator[SqlReader | None]:
    """None where the target says nothing of a ledger."""
    from edge.ledger.store import open_reader

    if target.ledger is None:
        yield None
        return
    with closing(open_reader(target.ledger)) as reader:
        yield reader


async def _missing(reader: SqlReader, after: int, probes: set[str]) -> set[str]:
    """Those whose fact has not come in time."""
    from edge.core.facts import EquipmentChecked

    until = time.monotonic() + RECORDED_SECONDS
    missing = set(probes)
    while missing and time.monotonic() < until:
        page = reader.read(after)
        for entry in page:
            after = entry.sequence
            if isinstance(entry.fact, EquipmentChecked):
                missing.discard(entry.fact.probe)
        if not page:
            await asyncio.sleep(LOOK_SECONDS)
    return missing


def checker() -> str:
    """Who checks: this program, and the user and machine that it runs as and on."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return suitable(f"hwtest {user}@{socket.gethostname()}")


def words_of(result: ProbeResult) -> str:
    """What was measured, or what is wrong, in as many words as a fact takes."""
    if result.reason is not None:
        return suitable(result.reason)
    grave = [finding for finding in result.findings if finding.verdict in (Verdict.FAIL, result.verdict)]
    if grave:
        return suitable(f"{grave[0].layer.value}: {grave[0].summary}")
    judged = [
        figure for figure in result.figures if figure.threshold is not None and figure.value is not None
    ]
    return suitable(_brief(judged[0])) if judged else ""


def _brief(figure: Figure) -> str:
    statistic = "" if figure.statistic == "value" else f" {figure.statistic}"
    if figure.verdict in (Verdict.WARN, Verdict.FAIL):
        return summary_of(figure)
    return f"{figure.name.replace('_', ' ')}{statistic} {figure.value:.3g} {figure.unit}"


def suitable(text: str) -> str:
    """As it may go through the switch: of its alphabet, beginning with a letter or digit, and not too long."""
    text = masked(text)
    for mark, words in _WORDS.items():
        text = text.replace(mark, words)
    plain = re.sub(r" {2,}", " ", _UNSUITABLE.sub(" ", text)).lstrip(" _.:/+@#()'-")
    return plain[:LONGEST_FIGURE].rstrip()
