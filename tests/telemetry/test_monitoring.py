"""docs/monitoring: every series and label that an alert or a panel names is told by `edge mi` or `edge run`."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from edge.exposition import Exposition
from edge.mi.routes.prometheus import registry_of
from edge.mi.wallboard.signs import Daemon
from edge.telemetry import Counters, Readings
from tests.mi.wallboard.conftest import Bench
from tests.views.room import Room, busy_shift

MONITORING = Path(__file__).parents[2] / "docs/monitoring"
NAME = re.compile(r"\bedge_[a-z0-9_]+")
SELECTOR = re.compile(r"\b(edge_[a-z0-9_]+)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
Make = Callable[[Room], Bench]
Series = dict[str, list[dict[str, str]]]


def series_of(registry: CollectorRegistry) -> Series:
    """Labels of every sample by its name, as Prometheus' own parser reads the exposition."""
    found: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            found[sample.name].append(sample.labels)
    return dict(found)


@pytest.fixture
def told(bench: Make) -> Series:
    """By both, in a room where something has happened."""
    room, _ = busy_shift()
    at = bench(room)
    at.pulled_utc_us = room.now.utc_us
    live = at.live()
    while live.look():
        pass
    counters = Counters()
    counters.stepped(object(), [object()], 0.001)
    daemon = CollectorRegistry()
    daemon.register(Exposition(counters, _readings))
    return {**series_of(registry_of(live, 1)), **series_of(daemon)}


def _readings() -> Readings:
    return Readings(
        inbox=0, backlog=0, ledger_trouble=False, switch_seen=True, sequence=0, calls=0, offers=0, tasks=0
    )


def alerts() -> list[dict[str, Any]]:
    """Every rule."""
    document = yaml.safe_load((MONITORING / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def expressions() -> dict[str, str]:
    """Everything that is asked of Prometheus, by where it stands."""
    board = json.loads((MONITORING / "grafana.json").read_text(encoding="utf-8"))
    panels = {
        f"panel {panel['title']} {target['refId']}": target["expr"]
        for panel in board["panels"]
        for target in panel["targets"]
    }
    return {**{f"alert {rule['alert']}": rule["expr"] for rule in alerts()}, **panels}


def test_every_series_that_is_asked_for_is_told(told: Series) -> None:
    """By its exact name."""
    asked = expressions()
    assert len(asked) > 40
    unknown = {
        where: name for where, expr in asked.items() for name in NAME.findall(expr) if name not in told
    }
    assert unknown == {}


def test_every_label_that_is_asked_for_is_told(told: Series) -> None:
    """A selector that could never match anything would be an alert that never comes."""
    for where, expr in expressions().items():
        for name, selector in SELECTOR.findall(expr):
            for label, how, value in MATCHER.findall(selector):
                values = {labels[label] for labels in told[name] if label in labels}
                assert values, f"{where}: {name} has no label {label}"
                wanted = set(value.split("|")) if how == "=~" else {value} if how == "=" else set()
                assert wanted <= values, f"{where}: {label} is never {wanted - values}"


def test_alerts_say_what_to_do() -> None:
    """Each has a name of its own, a severity, a summary, and how to mend it."""
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names) >= 20
    for rule in alerts():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert rule["annotations"].keys() == {"summary", "mend"}, rule["alert"]


def test_old_figures_are_not_told(bench: Make) -> None:
    """While they cannot be known to be true: absent, and `edge_stale` says so."""
    room, _ = busy_shift()
    at = bench(room)
    live = at.live()
    while live.look():
        pass
    assert values(live)["edge_stale"] == [0.0]
    assert sum(values(live)["edge_waiting_calls"]) == 2
    at.daemon = Daemon.DEAD
    live.look()
    now = values(live)
    assert (now["edge_stale"], now["edge_daemon_running"], now["edge_switch_seen"]) == ([1.0], [0.0], [0.0])
    for name in ("edge_waiting_calls", "edge_agents", "edge_tasks_open", "edge_service_level_now_ratio"):
        assert name not in now


def values(live: Any) -> dict[str, list[float]]:
    """Every value by its series' name."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for family in text_string_to_metric_families(generate_latest(registry_of(live, 0)).decode()):
        for sample in family.samples:
            found[sample.name].append(sample.value)
    return dict(found)
