"""The OpenAPI description against the server: whatever it allows is asked, and every answer is one that it names."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

from tests.mi.serving import Served, ledger_of, serving

EXAMPLES = 8
"""For each address; `endurance` asks for more."""


class Running:
    """A server in a thread of its own, as the asker is no coroutine."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(60)

    async def _serve(self) -> None:
        most = 1_000_000
        async with serving(
            self._url, requests_per_minute=most, requests_per_minute_of_address=most
        ) as served:
            self.served: Served = served
            self.token = served.token()
            self._end = asyncio.Event()
            self._loop = asyncio.get_running_loop()
            self._ready.set()
            await self._end.wait()

    def stop(self) -> None:
        """And wait for its end."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(60)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(
        ledger_of(tmp_path, 3)
    )  # every fact of every answer is held against its description: few will do
    yield made
    made.stop()


def ask_everything(running: Running, examples: int) -> int:
    """Ask every address so often; how many were asked. An answer that is not described fails."""
    app: Any = running.served.server.config.app
    schema = schemathesis.openapi.from_dict(app.openapi())
    headers = {"Authorization": f"Bearer {running.token}"}
    asked = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        good, bad = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        )
        @given(case=st.one_of(good, bad))
        def one(case: Any) -> None:
            nonlocal asked
            asked += 1
            if "wait_seconds" in (case.query or {}):
                case.query = {**case.query, "wait_seconds": 0}
            answer = case.call(base_url=running.served.server.url, headers=headers)
            case.validate_response(answer, checks=CHECKS)

        one()
    return asked


CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


def test_every_answer_is_described(running: Running) -> None:
    assert ask_everything(running, EXAMPLES) > 4 * EXAMPLES


@pytest.mark.endurance
def test_every_answer_is_described_at_length(running: Running) -> None:
    assert ask_everything(running, 500) > 1000


def test_the_description_names_what_there_is(running: Running) -> None:
    app: Any = running.served.server.config.app
    described = app.openapi()
    assert {"/v1/facts", "/v1/gaps", "/v1/disclosures", "/v1/acknowledgements"} <= set(described["paths"])
    for path, methods in described["paths"].items():
        for operation in methods.values():
            secured = bool(operation.get("security"))
            assert secured == (path not in ("/healthz", "/readyz")), path
            assert operation["description"], path
