"""`/metrics`: the room for Prometheus, by a token with the scope metrics.

Counts of people and calls come from the wallboard's live fold, with the same word of honesty: while they cannot be known to be
true now they are not told at all, `edge_stale` is 1, and an alert that needs them sees that they are absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from edge.mi import problems
from edge.mi.security import Client, require
from edge.mi.wallboard.live import Live
from edge.mi.wallboard.picture import picture
from edge.mi.wallboard.routes import Board, board
from edge.mi.wallboard.signs import Daemon
from edge.version import VERSION

router = APIRouter(tags=["health"], responses=problems.EVERYWHERE)
PLAIN = "text/plain; version=0.0.4"


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Prometheus' text format", "content": {PLAIN: {}}}},
)
async def metrics(
    request: Request,
    shown: Annotated[Board, Depends(board)],
    _: Annotated[Client, Depends(require("metrics"))],
) -> Response:
    """The room as Prometheus reads it. docs/monitoring has alerts and a dashboard for it."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    body = await shown.feed.ask(lambda live: encode(registry_of(live, shown.feed.viewers)))
    return Response(body, media_type=content_type)


def registry_of(live: Live, viewers: int) -> CollectorRegistry:
    """Everything there is at this moment."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Exposition(live, viewers))
    ProcessCollector(namespace="edge_mi", registry=registry)
    return registry


class Exposition:
    """One picture in Prometheus' own terms."""

    def __init__(self, live: Live, viewers: int) -> None:
        self._live = live
        self._viewers = viewers

    def collect(self) -> Iterator[Metric]:
        """Every series, for the exposition's library."""
        live, shown = self._live, picture(self._live)
        yield _one("edge_mi_info", "Always 1; the version is a label.", 1, version=VERSION)
        yield _one("edge_mi_wallboards", "Wallboards that are open.", self._viewers)
        yield from _health(live, shown)
        if (numbers := shown["numbers"]) is not None:
            yield from _calls(numbers)
            yield from _promises(numbers)


def _health(live: Live, shown: dict[str, Any]) -> Iterator[Metric]:
    now, disk = live.signs.now(), live.signs.disk()
    yield _one(
        "edge_stale",
        "1 while what is told of calls cannot be known to be true now.",
        shown["stale"] is not None,
    )
    yield _one(
        "edge_daemon_running", "1 while the daemon's process lives and runs.", live.daemon is Daemon.RUNNING
    )
    yield _one(
        "edge_switch_seen",
        "1 while the daemon sees the switch.",
        live.daemon is Daemon.RUNNING and live.state.sight,
    )
    yield _one("edge_clock_synchronised", "1 while the kernel says so.", live.state.clock == "synchronised")
    yield _one(
        "edge_record_trouble",
        "1 while the daemon cannot write the record.",
        not live.writes,
    )
    yield _one("edge_record_sequence", "Sequence of the newest fact that was read.", live.state.sequence)
    if disk is not None:
        yield _one("edge_disk_free_bytes", "Of the file system that the ledger is on.", disk.free_bytes)
        yield _one("edge_disk_size_bytes", "Of the file system that the ledger is on.", disk.size_bytes)
    pulled = live.signs.last_pull_utc_us()
    if pulled is not None:
        yield _one(
            "edge_last_pull_age_seconds",
            "Since MI last pulled anything.",
            max(0.0, (now.utc_us - pulled) / 1e6),
        )


def _calls(numbers: dict[str, Any]) -> Iterator[Metric]:
    yield _one(
        "edge_incident", "1 while a major incident is declared.", numbers["incident_since"] is not None
    )
    yield _one("edge_alarms", "Alarms of the last hour.", len(numbers["alarms"]) + numbers["alarms_more"])
    waiting = [({"class": row["class"]}, row) for row in numbers["waiting"]]
    yield _many("edge_waiting_calls", "Callers on the line and with nobody.", waiting, "waiting")
    yield _many("edge_fallback_calls", "Of those, in the switch's own queue.", waiting, "fallback")
    yield _many(
        "edge_oldest_waiting_seconds", "How long the first of them has waited.", waiting, "oldest_seconds"
    )
    agents = [({"state": row["state"]}, row) for row in numbers["agents"]]
    yield _many("edge_agents", "Agents by state.", agents, "count")
    levels = [({"tier": row["tier"], "queue": row["queue"]}, row) for row in numbers["service"]]
    yield _many("edge_service_target_seconds", "Target of the queue.", levels, "target_seconds")
    yield _many(
        "edge_service_target_ratio", "Share that is to be answered within it.", levels, "target_share"
    )
    for period in ("now", "today"):
        rows = [(labels, row[period]) for labels, row in levels]
        yield _many(f"edge_service_level_{period}_ratio", f"Service level (SL3), {period}.", rows, "share")
    rows = [(labels, row["today"]) for labels, row in levels]
    for name in ("offered", "answered", "abandoned", "sent_away"):
        yield _many(f"edge_today_{name}_calls", f"Of today's calls, {name.replace('_', ' ')}.", rows, name)


def _promises(numbers: dict[str, Any]) -> Iterator[Metric]:
    callbacks, tasks = numbers["callbacks"], numbers["tasks"]
    for name, words, value in (
        ("callbacks_waiting", "Call-backs that wait to be rung.", callbacks["waiting"]),
        ("callbacks_dialling", "Call-backs whose person is being rung.", callbacks["dialling"]),
        ("callbacks_oldest_seconds", "How long the first has waited.", callbacks["oldest_seconds"]),
        ("callbacks_promised", "Since the record began.", callbacks["made"]),
        ("callbacks_kept", "Since the record began.", callbacks["kept"]),
        ("callbacks_became_tasks", "Since the record began.", callbacks["became_tasks"]),
        ("callbacks_out_of_turn", "Broken: 0, or it is a fault.", callbacks["out_of_turn"]),
        ("callbacks_paused", "1 while the offering is paused.", callbacks["paused"]),
        ("trunk_rests", "1 while the trunk rests after failures.", callbacks["trunk_rests"]),
        ("tasks_open", "Ring-back tasks.", tasks["open"]),
        ("tasks_emergency", "Of those, from a 999.", tasks["emergency"]),
        ("tasks_unassigned", "Of those, nobody's yet.", tasks["unassigned"]),
        ("tasks_oldest_seconds", "How long the first has been open.", tasks["oldest_seconds"]),
    ):
        yield _one(f"edge_{name}", words, value)


def _one(name: str, words: str, value: float | None, **labels: str) -> Metric:
    """A gauge; 0 where nobody waits, so that no series comes and goes with the calls."""
    family = GaugeMetricFamily(name, words, labels=list(labels))
    family.add_metric(list(labels.values()), float(value or 0))
    return family


def _many(name: str, words: str, rows: list[tuple[dict[str, str], dict[str, Any]]], key: str) -> Metric:
    """One value for each row; a share that is not known is not there."""
    family = GaugeMetricFamily(name, words, labels=list(rows[0][0]) if rows else [])
    for labels, row in rows:
        if row[key] is not None or not name.endswith("_ratio"):
            family.add_metric(list(labels.values()), float(row[key] or 0))
    return family
