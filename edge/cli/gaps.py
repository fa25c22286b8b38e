"""`edge gaps`: how complete the record is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from edge.cli import output
from edge.cli.calls import Since
from edge.cli.places import reading, site
from edge.views import shapes

if TYPE_CHECKING:
    from edge.core.model import Instant
    from edge.views.gaps import Completeness, GapRecord, LossRecord, TroubleRecord
    from edge.views.reading import Reader


@click.command("gaps")
@click.option(
    "--since",
    type=Since(),
    default="1d",
    show_default=True,
    help="Gaps that ended since: 15m, 2h, 7d, or 2026-11-22T14:00.",
)
@output.json_option
def command(since: int, as_json: bool) -> None:
    """When the switch was not seen, why, and what its own record told of that time; and when the ledger was in trouble.
    Facts that a damaged file of the ledger lost are named whenever that was.

    A gap begins where the daemon saw it begin, or, when nobody was there to see it, at the last sign of life or the last fact
    (`known by`). "came unseen": callers who came and went in it and are in the record all the same, marked with their source.
    """
    from edge.liveness import daemon_pid
    from edge.views.gaps import LOSS_FACTS, completeness, losses, open_gap
    from edge.views.reading import entries_of, open_state

    here, at = site(), output.now()
    with reading(here.ledger_url) as reader:
        begin = max(since, beginning(reader))
        gaps, troubles = recent(reader, since), recent_troubles(reader, since)
        lost = losses(entries_of(reader, LOSS_FACTS))
        state = open_state(reader)
    lasting = open_gap(state, at, daemon_pid(here.ledger_url) is not None)
    gaps += [lasting] if lasting is not None else []
    whole = completeness(gaps, min(begin, at.utc_us), at.utc_us)
    if as_json:
        output.emit(
            {
                "completeness": completeness_json(whole),
                "gaps": [gap_json(gap) for gap in gaps],
                "ledger_troubles": [trouble_json(trouble) for trouble in troubles],
                "facts_lost": [loss_json(loss) for loss in lost],
            }
        )
        return
    output.console().print(_table(gaps))
    for trouble in troubles:
        click.echo(trouble_sentence(trouble))
    for loss in lost:
        click.echo(loss_sentence(loss))
    click.echo(sentence(whole))


def beginning(reader: Reader) -> int:
    """When the record begins, in microseconds of UTC; 0 where it is empty."""
    first = reader.read(0, 1)
    return first[0].at.utc_us if first else 0


def recent(reader: Reader, utc_us: int) -> list[GapRecord]:
    """The gaps that ended since this time."""
    from edge.views.gaps import GAP_FACTS, fold_gaps
    from edge.views.reading import entries_of, sequence_before

    return fold_gaps(entries_of(reader, GAP_FACTS, sequence_before(reader, utc_us)))


def recent_troubles(reader: Reader, utc_us: int) -> list[TroubleRecord]:
    """Trouble with the ledger since this time."""
    from edge.views.gaps import TROUBLE_FACTS, fold_troubles
    from edge.views.reading import entries_of, sequence_before

    return fold_troubles(entries_of(reader, TROUBLE_FACTS, sequence_before(reader, utc_us)))


def trouble_sentence(trouble: TroubleRecord) -> str:
    """Trouble with the ledger in words."""
    since = "an earlier time" if trouble.since is None else _time(trouble.since)
    until = "now" if trouble.until is None else _time(trouble.until)
    lasted = "" if trouble.seconds is None else f" ({output.seconds(trouble.seconds)})"
    return f"the ledger was in trouble from {since} until {until}{lasted}: {trouble.detail}"


def trouble_json(trouble: TroubleRecord) -> dict[str, Any]:
    """Trouble with the ledger in JSON."""
    return {
        "from": shapes.instant(trouble.since),
        "until": shapes.instant(trouble.until),
        "seconds": trouble.seconds,
        "detail": trouble.detail,
    }


def loss_sentence(loss: LossRecord) -> str:
    """Facts that were lost, in words."""
    until = "the ledger's end" if loss.until is None else _time(loss.until)
    return output.clean(
        f"FACTS LOST: entries {loss.first} to {loss.last}, from {_time(loss.since)} until {until}; found on "
        f"{_time(loss.mended_at)}: {loss.why}; the damaged file is kept as {loss.kept_as}"
    )


def loss_json(loss: LossRecord) -> dict[str, Any]:
    """Facts that were lost, in JSON."""
    return {
        "first": loss.first,
        "last": loss.last,
        "from": shapes.instant(loss.since),
        "until": shapes.instant(loss.until),
        "found": shapes.instant(loss.mended_at),
        "why": loss.why,
        "kept_as": loss.kept_as,
    }


def sentence(whole: Completeness) -> str:
    """The figures in words."""
    said = f"the switch was seen {output.share(whole.seen_share)} of {_span(whole.seconds)}"
    said += f", {whole.gaps} gaps" if whole.gaps else ", no gap"
    said += (
        f", {whole.untraced} of them not wholly known from the switch's own record" if whole.untraced else ""
    )
    return (
        f"{said}; {whole.calls_traced} callers came unseen and are in the record, {whole.calls_corrected} corrected, "
        f"{whole.calls_unknown} with an end that nobody knows"
    )


def _span(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


def completeness_json(whole: Completeness) -> dict[str, Any]:
    """The figures in JSON."""
    return {
        "seconds": whole.seconds,
        "seen_seconds": whole.seen_seconds,
        "seen_share": whole.seen_share,
        "gaps": whole.gaps,
        "untraced": whole.untraced,
        "calls_traced": whole.calls_traced,
        "calls_corrected": whole.calls_corrected,
        "calls_unknown": whole.calls_unknown,
    }


def gap_json(gap: GapRecord) -> dict[str, Any]:
    """A gap in JSON."""
    return {
        "gap": gap.gap,
        "why": gap.why.value,
        "from": shapes.instant(gap.since),
        "until": shapes.instant(gap.until),
        "known_by": gap.bound.value,
        "seconds": gap.seconds,
        "calls": list(gap.calls),
        "traced": shapes.instant(gap.traced_at),
        "complete": gap.complete,
        "detail": gap.detail,
        "calls_seen": gap.calls_seen,
        "calls_added": gap.calls_added,
        "calls_corrected": gap.calls_corrected,
        "calls_unknown": gap.calls_unknown,
    }


def _table(gaps: Sequence[GapRecord]) -> object:
    return output.table(
        (
            ">gap",
            "=from",
            "=until",
            ">seconds",
            "why",
            "known by",
            ">calls open",
            ">came unseen",
            ">corrected",
            ">unknown",
            "switch's own record",
        ),
        [
            (
                gap.gap,
                _time(gap.since),
                "now" if gap.until is None else _time(gap.until),
                output.seconds(gap.seconds),
                gap.why.value,
                gap.bound.value,
                len(gap.calls),
                gap.calls_added,
                gap.calls_corrected,
                gap.calls_unknown,
                _record(gap),
            )
            for gap in gaps
        ],
    )


def _time(at: Instant) -> str:
    return output.local(at)


def _record(gap: GapRecord) -> str:
    if gap.traced_at is None:
        return "" if gap.until is None else "not read yet"
    return "whole" if gap.complete else f"NOT WHOLE: {gap.detail}"
