"""The wallboard and /metrics as `edge mi` serves them: real tokens, the log of disclosures, what stands around every answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar
from prometheus_client.parser import text_string_to_metric_families

from edge.config import load
from edge.config.sections import MiSection
from edge.mi.application import create_app
from edge.mi.server import Server
from edge.mi.services import Services, open_services
from edge.mi.wallboard.board import RESOURCE, STREAM, site_of
from tests.mi.wallboard.conftest import Bench
from tests.views.room import Room, busy_shift

Make = Callable[[Room], Bench]
EXAMPLE = Path(__file__).parents[3] / "edge101.example.toml"


@dataclass
class Served:
    """A running server and a browser."""

    services: Services
    session: ClientSession
    server: Server

    def token(self, *scopes: str) -> str:
        """A new one."""
        return self.services.tokens.add("test", scopes, 1, "test")[1]

    async def sign_in(self, token: str) -> int:
        """The status of what came back."""
        form = {"token": token}
        async with self.session.post("/wallboard/sign-in", data=form, allow_redirects=False) as answer:
            return answer.status

    async def get(self, path: str, **headers: str) -> tuple[int, str, dict[str, str]]:
        """Status, text and headers."""
        async with self.session.get(path, headers=headers, allow_redirects=False) as answer:
            return answer.status, await answer.text(), dict(answer.headers)


@pytest.fixture
async def served(bench: Make) -> AsyncIterator[Served]:
    """A busy shift. This process writes the ledger, so it is the daemon."""
    room, _ = busy_shift()
    services = open_services(bench(room).url)
    app = create_app(services)
    settings = MiSection.model_construct(**{**MiSection().model_dump(), "port": 0})
    server = Server(app, settings)
    running = asyncio.create_task(server.run_until_stopped())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells by this alone
        await asyncio.sleep(0)
    async with ClientSession(server.url, cookie_jar=CookieJar(unsafe=True)) as session:
        yield Served(services, session, server)
        server.should_exit = True
        async with asyncio.timeout(3):
            await running


async def test_a_token_opens_the_wallboard_until_it_is_revoked(served: Served) -> None:
    """Known to MI, with the scope; and no longer."""
    assert await served.sign_in("edge101_00000000_" + "x" * 43) == 401
    assert await served.sign_in(served.token("facts")) == 403
    assert await served.sign_in(served.token("metrics", "calls")) == 303
    status, text, headers = await served.get("/wallboard")
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert "Waiting now" in text
    served.services.tokens.end(served.services.tokens.named("test"), 0)
    assert (await served.get("/wallboard/who"))[0] == 401


async def test_a_stream_passes_through_everything(served: Served) -> None:
    """No layer holds it back, compresses it or tags it; and it keeps nobody from ending (the fixture waits three seconds)."""
    await served.sign_in(served.token("metrics"))
    async with served.session.get("/wallboard/stream", headers={"Accept-Encoding": "gzip"}) as answer:
        assert "Content-Encoding" not in answer.headers
        async for line in answer.content:
            if line.startswith(b"data: "):
                shown = json.loads(line[6:])
                break
    assert (shown["stale"], shown["numbers"]["sequence"] > 0) == (None, True)


@pytest.mark.parametrize("scopes", [("metrics",), ("metrics", "calls", "numbers")])
async def test_looking_at_open_calls_is_a_disclosure(served: Served, scopes: tuple[str, ...]) -> None:
    """Written down when the stream begins, for who sees calls one by one."""
    await served.sign_in(served.token(*scopes))
    async with served.session.get("/wallboard/stream") as answer:
        await answer.content.readline()
    found = served.services.disclosures.page(0, 10)
    told = [(line.reader, line.resource, line.address, line.numbers) for line in found]
    assert told == [("test", STREAM, "127.0.0.1", False)] * ("calls" in scopes)


async def test_looking_at_a_call_is_a_disclosure_and_no_pull(served: Served) -> None:
    """Who, what, with or without numbers; the wallboard itself is not a reader that pulls."""
    await served.sign_in(served.token("metrics", "calls", "numbers"))
    status, text, _ = await served.get("/wallboard/calls/20261122T120000Z-2")
    assert (status, "Alex Example" in text) == (200, True)
    [line] = served.services.disclosures.page(0, 10)
    assert (line.reader, line.resource, line.selection) == ("test", RESOURCE, "call_id=20261122T120000Z-2")
    assert (line.count, line.numbers, line.address) == (1, True, "127.0.0.1")
    reader = served.token("facts", "metrics")
    for path in ("/metrics", "/v1/gaps", "/v1/metrics/definitions"):
        await served.get(path, Authorization=f"Bearer {reader}")
    assert served.services.disclosures.last_pull_utc_us() is None
    assert served.services.disclosures.newest_utc_us() is not None
    assert (await served.get("/v1/facts", Authorization=f"Bearer {reader}"))[0] == 200
    assert served.services.disclosures.last_pull_utc_us() is not None


async def test_metrics_need_a_token_with_the_scope(served: Served) -> None:
    """401 without, 403 with another; with it Prometheus' own parser reads them."""
    assert (await served.get("/metrics"))[0] == 401
    assert (await served.get("/metrics", Authorization=f"Bearer {served.token('facts')}"))[0] == 403
    status, text, headers = await served.get("/metrics", Authorization=f"Bearer {served.token('metrics')}")
    assert (status, headers["Content-Type"].startswith("text/plain")) == (200, True)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["edge_stale"].samples[0].value == 0
    assert families["edge_daemon_running"].samples[0].value == 1
    assert {sample.labels["class"]: sample.value for sample in families["edge_waiting_calls"].samples} == {
        "999": 0,
        "standard": 2,
    }


def test_the_site_is_the_configurations(tmp_path: Path) -> None:
    """Names, targets, aims, classes and people; 999 queues by their lines."""
    for name in ("ari", "ami", "rescue"):
        file = tmp_path / f"{name}.password"
        file.write_text("0123456789abcdef", encoding="ascii")
        file.chmod(0o600)
    pin = tmp_path / "agent-4001.pin"
    pin.write_text("246810", encoding="ascii")
    pin.chmod(0o600)
    copy = tmp_path / "edge101.toml"
    copy.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    copy.chmod(0o600)
    configuration = load(copy)
    site = site_of(configuration)
    assert site.name == configuration.site.name
    assert site.targets == {name: queue.target_seconds for name, queue in configuration.queues.items()}
    assert site.emergency == {"emergency"}
    assert "vulnerable" in site.classes
    assert site.agents["4001"] == configuration.agents["4001"].name
    assert site_of(None).targets == {}
