"""What is folded, as a reader gets it: calls, contacts, call-backs, tasks and metrics over HTTP."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.types import ASGIApp, Message

from edge.core import facts
from edge.core.facts import Entry
from edge.core.model import ClockState
from edge.core.promise import TaskAttemptOutcome
from edge.ledger.store import open_sql_ledger
from edge.ledger.synthesise import synthesise
from edge.mi.application import create_app
from edge.mi.services import Services, open_services
from edge.views.caller import caller_id, ensure_key
from edge.views.shapes import instant
from tests.views.callbacks import NUMBER, kept, unreached

FIRST = datetime(2026, 10, 24, tzinfo=UTC)
CALLS = 300


@dataclass
class Answer:
    """What came back."""

    status_code: int
    headers: dict[str, str]
    text: str

    def json(self) -> Any:
        """Read."""
        return json.loads(self.text)


async def ask(app: ASGIApp, path: str, params: dict[str, Any], token: str | None) -> Answer:
    """One request, in this process."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": urlencode(params, doseq=True).encode(),
        "headers": headers,
        "client": ("127.0.0.1", 40_000),
        "server": ("127.0.0.1", 8101),
    }
    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], {name.lower(): value for name, value in names.items()}, body.decode())


@dataclass
class Desk:
    """A client of the application, in this process."""

    app: ASGIApp
    services: Services

    def get(self, path: str, *scopes: str, **params: Any) -> Any:
        """The answer to somebody with these scopes."""
        token = self.services.tokens.add("central", scopes or ("calls", "metrics"), 1.0, "test")[1]
        return asyncio.run(ask(self.app, path, params, token))


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A day of made-up calls, the one with the clock change."""
    file = tmp_path_factory.mktemp("made-up") / "ledger.db"
    synthesise(file, CALLS, 7, FIRST, 2)
    yield from _desk(f"sqlite:///{file}")


@pytest.fixture
def called_back(tmp_path: Path) -> Iterator[Desk]:
    """Two call-backs, one kept and one that became a task."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = open_sql_ledger(url)
    ensure_key(url)
    first, second = kept(), unreached()
    ledger.append(first.entries)
    moved = [
        Entry(
            sequence=len(first.entries) + number,
            at=entry.at.plus(7200),
            fact=_renamed(entry.fact),
            reason=entry.reason,
            clock=ClockState.SYNCHRONISED,
        )
        for number, entry in enumerate(second.entries, 1)
    ]
    ledger.append(moved)
    ledger.close()
    yield from _desk(url)


def _renamed(fact: facts.Fact) -> facts.Fact:
    names = {part.name for part in fields(fact)} & {"call_id", "task_id"}
    changes: dict[str, Any] = dict.fromkeys(names, "c2")
    return replace(fact, **changes)


def _desk(url: str) -> Iterator[Desk]:
    services = open_services(url)
    services.projection().catch_up()
    yield Desk(create_app(services), services)
    services.close()


def pages(desk: Desk, path: str, key: str, **params: Any) -> Iterator[dict[str, Any]]:
    """Every page, to the end."""
    cursor: dict[str, str] = {}
    while True:
        found = desk.get(path, **params, **cursor)
        assert found.status_code == 200, found.text
        yield found.json()
        if not found.json()["more"]:
            return
        cursor = {"cursor": found.json()["cursor"]}


def test_calls_come_page_by_page_without_gap(made_up: Desk) -> None:
    """Every call once, in the order of its last change, marked as synthetic."""
    found = list(pages(made_up, "/v1/calls", "calls", limit=70))
    calls = [call for page in found for call in page["calls"]]
    assert len(calls) == len({call["id"] for call in calls}) == CALLS
    assert all(page["synthetic"] and page["complete"] for page in found)
    assert [call["through_sequence"] for call in calls] == sorted(call["through_sequence"] for call in calls)
    assert all(call["id"].startswith("synthetic") for call in calls)
    assert not any("+440" in json.dumps(call) for call in calls)
    again = made_up.get("/v1/calls", cursor=found[-1]["cursor"]).json()
    assert (again["calls"], again["more"]) == ([], False)


def test_a_cursor_outlives_the_projection(made_up: Desk, tmp_path: Path) -> None:
    """The projection is folded again elsewhere: the same cursor goes on at the same place."""
    first = made_up.get("/v1/calls", limit=100).json()
    rest = made_up.get("/v1/calls", limit=1000, cursor=first["cursor"]).json()
    services = open_services(made_up.services.ledger_url)
    services.directory = tmp_path
    services.cursors = made_up.services.cursors
    services.projection().catch_up()  # a busy machine answers with less, and says so
    afresh = Desk(create_app(services), services)
    assert afresh.get("/v1/calls", limit=1000, cursor=first["cursor"]).json()["calls"] == rest["calls"]
    services.close()


def test_forms_say_the_same(made_up: Desk) -> None:
    """JSON, NDJSON and CSV; a bounded page; a filter."""
    as_json = made_up.get("/v1/calls", limit=50, kind="999").json()["calls"]
    lines = made_up.get("/v1/calls", limit=50, kind="999", format="ndjson")
    assert [json.loads(line) for line in lines.text.splitlines()] == as_json
    assert lines.headers["edge101-synthetic"] == "true"
    rows = list(
        csv.DictReader(made_up.get("/v1/calls", limit=50, kind="999", format="csv").text.splitlines())
    )
    assert [row["call_id"] for row in rows] == [call["call_id"] for call in as_json]
    assert {call["kind"] for call in as_json} == {"999"}
    assert json.loads(rows[0]["offers"]) == as_json[0]["offers"]


def test_numbers_are_for_who_may_have_them(called_back: Desk) -> None:
    """Without the scope the keyed hash alone; with it the number, from the ledger."""
    plain = called_back.get("/v1/callbacks", "calls").json()["callbacks"]
    known = called_back.get("/v1/callbacks", "calls", "numbers").json()["callbacks"]
    assert [each["call_id"] for each in plain] == ["c1", "c2"]
    assert not any("number" in each for each in plain)
    assert {each["number"] for each in known} == {NUMBER}
    hashed = caller_id(called_back.services.caller_key(), "+441632960123")
    assert {each["caller"] for each in plain} == {hashed}
    assert [(each["outcome"], len(each["attempts"])) for each in plain] == [("answered", 2), ("unreached", 1)]
    (task,) = called_back.get("/v1/tasks", "calls", open=True).json()["tasks"]
    assert (task["kind"], task["call_id"]) == ("unreached_callback", "c2")
    assert "number" not in task
    whole = called_back.get("/v1/calls/c1", "calls", "numbers").json()["call"]
    assert whole["caller_number"] == "+441632960123"


@pytest.mark.parametrize("resource", ["calls", "callbacks", "tasks", "contacts"])
@pytest.mark.parametrize("scopes", [("calls",), ("calls", "numbers")])
def test_csv_has_every_field_of_json(called_back: Desk, resource: str, scopes: tuple[str, ...]) -> None:
    """One head for both."""
    (row, *_) = called_back.get(f"/v1/{resource}", *scopes).json()[resource]
    head, *_ = called_back.get(f"/v1/{resource}", *scopes, format="csv").text.splitlines()
    assert head.split(",") == list(row)


def test_how_a_task_was_rung(called_back: Desk) -> None:
    """In the words of `edge tasks --json`, as everything that happened at a time."""
    ledger = open_sql_ledger(called_back.services.ledger_url)
    last = ledger.read(ledger.last_sequence() - 1)[0]
    rang = facts.TaskAttemptEnded(
        task_id="c2",
        task_offer_id="o1",
        agent="4001",
        attempt=1,
        outcome=TaskAttemptOutcome.SPOKEN,
        cause="16",
        talked_seconds=12.5,
        not_before=last.at,
    )
    ledger.append([replace(last, sequence=last.sequence + 1, at=last.at.plus(60), fact=rang)])
    ledger.close()
    (task,) = called_back.get("/v1/tasks").json()["tasks"]
    assert task["rung"] == [
        {"agent": "4001", "ended": instant(last.at.plus(60)), "outcome": "spoken", "talked_seconds": 12.5}
    ]


def test_the_log_says_numbers_only_where_numbers_were(called_back: Desk) -> None:
    """A contact has none, whoever asks; nor has a call without the scope."""
    for resource in ("contacts", "calls"):
        called_back.get(f"/v1/{resource}", "calls", "numbers")
    called_back.get("/v1/calls", "calls")
    told = [(line.resource, line.numbers) for line in called_back.services.disclosures.page(0, 10)]
    assert told == [("contacts", False), ("calls", True), ("calls", False)]


def test_a_call_does_not_give_away_the_number_of_its_call_back(called_back: Desk) -> None:
    """Not even its last digits, as nowhere else in MI."""
    for call in called_back.get("/v1/calls", "calls").json()["calls"]:
        assert call["callback"]["promised"]
        assert not {"caller", "number_mask", "number"} & call["callback"].keys()


def test_one_need_is_one_contact(called_back: Desk) -> None:
    """Two calls of one number two hours apart are two needs."""
    found = called_back.get("/v1/contacts", "calls").json()["contacts"]
    assert [(each["contact"], each["calls_count"], each["got_through"]) for each in found] == [
        (1, 1, True),
        (2, 1, False),
    ]


def test_metrics_by_hour_of_a_long_day(made_up: Desk) -> None:
    """25 hours on the day the clocks go back; each figure has its definition and its completeness."""
    got = made_up.get("/v1/metrics", id=["offered", "999-in-10@1"], period="2026-10-25", every="hour")
    found = got.json()
    assert found["synthetic"]
    offered = [each for each in found["figures"] if each["definition"] == "offered@1"]
    assert len(offered) == 25
    (day,) = made_up.get("/v1/metrics", id="offered", period="2026-10-25").json()["figures"]
    assert sum(each["value"] for each in offered) == day["value"] > 0
    assert {"whole", "seen_share", "calls_in_progress"} <= day["completeness"].keys()
    by_queue = made_up.get("/v1/metrics", id="offered", period="2026-10-25", by="queue").json()["figures"]
    assert sum(each["value"] for each in by_queue) == day["value"]


@pytest.mark.parametrize(
    ("path", "params", "status", "said"),
    [
        ("/v1/calls", {"cursor": "forged"}, 400, "the cursor cannot be used"),
        ("/v1/calls", {"limit": 100_000}, 422, "limit"),
        ("/v1/calls", {"since": "yesterday"}, 422, "since is no time"),
        ("/v1/calls/nobody", {}, 404, "there is no such call"),
        ("/v1/metrics", {"id": "nothing"}, 422, "there is no definition 'nothing'"),
        ("/v1/metrics", {"id": "offered", "by": "agent"}, 422, "by_agent = true"),
        ("/v1/metrics", {"id": "offered", "period": "soon"}, 422, "is no period"),
        ("/v1/metrics", {"id": "offered", "since": "1990-01-01", "every": "half_hour"}, 422, "shorter time"),
        ("/v1/metrics", {"id": "*", "since": "2026-01-01", "every": "half_hour"}, 422, "more than"),
        ("/v1/metrics", {"id": "offered", "since": "0001-01-01T00:00+14:00"}, 422, "is no time"),
        ("/v1/metrics", {"id": "offered", "period": "9999-12-31"}, 422, "is no period"),
        ("/v1/metrics", {}, 422, "query id"),
    ],
)
def test_a_slip_is_a_problem_that_says_how_to_mend_it(
    made_up: Desk, path: str, params: dict[str, Any], status: int, said: str
) -> None:
    """No trace, no path."""
    got = made_up.get(path, **params)
    assert (got.status_code, got.headers["content-type"]) == (status, "application/problem+json")
    assert said in got.text
    assert got.json()["mend"]
    assert "/tmp" not in got.text


def test_a_token_without_the_scope_gets_nothing(made_up: Desk) -> None:
    """Metrics are not calls."""
    assert made_up.get("/v1/calls", "metrics").status_code == 403
    assert made_up.get("/v1/metrics", "calls", id="offered").status_code == 403
    assert asyncio.run(ask(made_up.app, "/v1/calls", {}, None)).status_code == 401
