"""The counts of `edge run` for Prometheus: told by a thread of its own, on loopback alone.

Without `[daemon] metrics_port` there is no thread, no socket, and no import of this module or of the exposition's library.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder

from edge.telemetry import Counters, Readings
from edge.version import VERSION

HOST = "127.0.0.1"
PATIENCE_SECONDS = 2.0
"""For a reader that asks and does not go on: other readers wait behind it, the daemon does not."""

log = structlog.get_logger(__name__)


class Exposition:
    """Counters and readings in Prometheus' own terms."""

    def __init__(self, counters: Counters, read: Callable[[], Readings]) -> None:
        self._counters = counters
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Every series, for the exposition's library."""
        counters, now = self._counters, self._read()
        info = GaugeMetricFamily("edge_daemon_info", "Always 1; the version is a label.", labels=["version"])
        info.add_metric([VERSION], 1)
        yield info
        for name, words, value in (
            ("started_seconds", "When the daemon started, Unix time.", counters.started_unix),
            ("last_turn_seconds", "Since the loop last began a turn.", time.monotonic() - counters.turned_at),
            ("inbox_inputs", "Inputs that wait for the engine.", now.inbox),
            ("ledger_backlog_facts", "Facts that wait for the ledger.", now.backlog),
            ("ledger_trouble", "1 while the ledger refuses facts or is too slow.", now.ledger_trouble),
            ("ledger_sequence", "Sequence of the newest fact, committed or not.", now.sequence),
            ("switch_seen", "1 while the switch is seen.", now.switch_seen),
            ("calls_open", "Calls without a terminal state, test calls and call-backs included.", now.calls),
            ("offers_open", "Offers that are not over.", now.offers),
            ("tasks_open", "Ring-back tasks that are open.", now.tasks),
        ):
            yield GaugeMetricFamily(f"edge_daemon_{name}", words, value=float(value))
        yield CounterMetricFamily("edge_daemon_turns", "Turns of the loop.", value=counters.turns)
        yield CounterMetricFamily(
            "edge_daemon_commits_failed", "Commits that the ledger refused.", value=counters.commits_failed
        )
        yield _by_kind("inputs", "Inputs that the engine was given.", counters.inputs)
        yield _by_kind("facts", "Facts that the engine made.", counters.facts)
        for name, words, durations in (
            ("step_seconds", "How long the engine took to decide.", counters.steps),
            ("commit_seconds", "How long the ledger took to commit.", counters.commits),
        ):
            histogram = HistogramMetricFamily(f"edge_daemon_{name}", words)
            histogram.add_metric([], durations.cumulative(), durations.sum_seconds)
            yield histogram


def _by_kind(name: str, words: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(f"edge_daemon_{name}", words, labels=["kind"])
    for kind, count in sorted(dict(counts).items()):
        family.add_metric([kind], count)
    return family


class Telemetry:
    """The listener: one reader at a time, none of them waited for by anybody else."""

    def __init__(self, port: int, exposition: Exposition) -> None:
        """Raises `OSError` when the port cannot be had."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(exposition)
        ProcessCollector(registry=registry)
        self._server = HTTPServer((HOST, port), _handler(registry))
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="telemetry", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def start(port: int, counters: Counters, read: Callable[[], Readings]) -> Telemetry | None:
    """The listener. That its port cannot be had stops no call: it is only logged."""
    try:
        return Telemetry(port, Exposition(counters, read))
    except OSError as error:
        log.error(
            "telemetry.refused", port=port, error=error.strerror, mend="choose another [daemon] metrics_port"
        )
        return None


def _handler(registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers GET /metrics, and nothing else."""

        timeout = PATIENCE_SECONDS
        server_version = "edge"
        sys_version = ""

        def do_GET(self) -> None:
            """The exposition, in the form that the reader asks for."""
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404, "Only /metrics is here")
                return
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            body = encode(registry)
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Nothing: a reader that comes every fifteen seconds is no news."""

    return Handler
