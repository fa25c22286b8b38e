"""Facts over HTTP: all of them, in order, once each after doubles are dropped, whatever is asked for and however."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from edge.ledger.maintenance import Warrant
from edge.ledger.store import erase, open_reader, open_sql_ledger
from edge.mi import stream
from edge.mi.formats import FORMULA, cell
from edge.mi.stream import PAGE_FACTS
from edge.mi.vocabulary import EVENTS
from tests.mi.conftest import CALLS
from tests.mi.record import FACTS_PER_CALL, NAME, number_of, write
from tests.mi.serving import Served, ledger_of, serving, until

ALL = CALLS * FACTS_PER_CALL


@pytest.fixture
async def served(url: str) -> AsyncIterator[Served]:
    async with serving(url) as made:
        yield made


async def pulled(served: Served, token: str, **given: Any) -> list[dict[str, Any]]:
    """Every fact that this asks for, page by page until there is no more."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await served.get(f"/v1/facts?{urlencode({**given, **cursor}, doseq=True)}", token)).json
        found += page["facts"]
        cursor = {"cursor": page["cursor"]}
        if not page["more"]:
            return found


@pytest.mark.parametrize("limit", [37, 100, PAGE_FACTS])
async def test_every_fact_once_and_in_order(served: Served, limit: int) -> None:
    found = await pulled(served, served.token("facts"), limit=limit)
    assert [fact["sequence"] for fact in found] == list(range(1, ALL + 1))
    assert len({fact["id"] for fact in found}) == ALL


async def test_a_fact_says_what_the_ledger_says(served: Served, url: str) -> None:
    found = await pulled(served, served.token("facts", "numbers"))
    reader = open_reader(url)
    for fact, record in zip(found, reader.page(0, ALL)[0], strict=True):
        row = record.row
        assert (fact["sequence"], fact["kind"], fact["reason"]) == (row.sequence, row.kind, row.reason)
        assert fact["fact"] == json.loads(row.body)
        assert fact["hash"] == record.hash
        assert fact["event"] == EVENTS.get(row.kind)
        assert fact["personal"] == (None if record.personal is None else json.loads(record.personal.body))
    assert found[0]["utc"] == "2026-09-21T14:13:20.000000Z"
    assert found[0]["personal"]["caller_number"] == number_of(0)


async def test_numbers_only_with_their_scope_and_the_same_hash_always(served: Served) -> None:
    without = await served.get("/v1/facts?kind=CallArrived", served.token("facts"))
    assert number_of(0).encode() not in without.body
    assert b"evil" not in without.body
    whole = await served.get("/v1/facts?kind=CallArrived", served.token("facts", "numbers"))
    hashes = [fact["number_hash"] for fact in without.json["facts"]]
    assert hashes == [fact["number_hash"] for fact in whole.json["facts"]]
    assert len(set(hashes)) == CALLS


async def test_what_was_erased_is_said_to_be(served: Served, url: str) -> None:
    erase(url, call_ids=["call-000000001"], warrant=Warrant("ann", "test"))
    found = await pulled(served, served.token("facts", "numbers"), kind="CallArrived")
    gone = [fact for fact in found if fact["erased"]]
    assert [fact["call_id"] for fact in gone] == ["call-000000001"]
    assert gone[0]["personal"] is None
    assert gone[0]["number_hash"] is None


async def test_filters(served: Served) -> None:
    token = served.token("facts")
    assert len(await pulled(served, token, kind=["CallArrived", "CallEnded"], limit=7)) == 2 * CALLS
    on_line = await pulled(served, token, line="welsh", limit=9)
    assert {fact["call_id"] for fact in on_line} == {f"call-{call:09d}" for call in range(3, CALLS, 4)}
    assert len(on_line) == CALLS // 4 * (FACTS_PER_CALL - 1), "the end of a wrap-up is of no call"
    in_queue = await pulled(served, token, queue="welsh")
    assert len(in_queue) == len(on_line) - 2 * (CALLS // 4), (
        "in no queue yet when it arrived and was answered"
    )
    first, last = "2026-09-21T14:13:27.000Z", "2026-09-21T14:13:34.000+00:00"
    during = await pulled(served, token, since=first, until=last, limit=50)
    assert [fact["call_id"] for fact in during if fact["kind"] == "CallArrived"] == [
        f"call-{call:09d}" for call in range(10, 20)
    ]
    assert len(during) == 10 * FACTS_PER_CALL
    assert await pulled(served, token, since="2030-01-01T00:00:00Z") == []


async def test_what_is_rare_is_found_by_pages_that_are_bounded(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LOOKED_THROUGH", 200)
    monkeypatch.setattr(stream, "BLOCK", 90)
    token = served.token("facts")
    page = (await served.get("/v1/facts?line=nowhere", token)).json
    assert (page["facts"], page["more"]) == ([], True), "so far and no further for one page"
    assert len(await pulled(served, token, kind="CallArrived", limit=3)) == CALLS
    assert len(await pulled(served, token, line="welsh", limit=11)) == CALLS // 4 * (FACTS_PER_CALL - 1)
    assert await pulled(served, token, queue="nowhere") == []


async def test_pages_are_bounded_in_bytes(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """With filters and without: shorter pages, and every fact once; one that is larger than a page comes alone."""
    monkeypatch.setattr(stream, "PAGE_BYTES", 1000)
    token = served.token("facts")
    page = (await served.get("/v1/facts", token)).json
    assert 1 < len(page["facts"]) < FACTS_PER_CALL
    assert page["more"]
    assert [fact["sequence"] for fact in await pulled(served, token)] == list(range(1, ALL + 1))
    assert len(await pulled(served, token, kind="CallArrived")) == CALLS
    monkeypatch.setattr(stream, "PAGE_BYTES", 1)
    assert len((await served.get("/v1/facts", token)).json["facts"]) == 1


async def test_ndjson_and_csv_are_the_same_facts(served: Served) -> None:
    token = served.token("facts", "numbers")
    whole = (await served.get("/v1/facts?limit=100", token)).json
    lines = await served.get("/v1/facts?limit=100", token, headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line) for line in lines.body.splitlines()] == whole["facts"]
    assert lines.headers["Edge101-Cursor"] == whole["cursor"]
    assert lines.headers["Edge101-More"] == "true"
    table = await served.get("/v1/facts?limit=100&format=csv", token)
    rows = list(csv.DictReader(io.StringIO(table.body.decode())))
    assert [row["id"] for row in rows] == [fact["id"] for fact in whole["facts"]]
    assert json.loads(rows[0]["personal"])["caller_name"] == NAME


async def test_no_cell_of_csv_is_a_formula(tmp_path: Path) -> None:
    for mark in FORMULA:
        assert str(cell(f"{mark}cmd|' /C calc'!A0")).startswith("'")
    url = ledger_of(tmp_path, 3)
    async with serving(url) as served:
        table = await served.get("/v1/facts?format=csv", served.token())
    for row in csv.reader(io.StringIO(table.body.decode())):
        assert not [text for text in row if text.startswith(FORMULA)]


async def test_gzip_and_etag(served: Served) -> None:
    token = served.token("facts")
    plain = await served.get("/v1/facts?limit=500", token)
    packed = await served.get("/v1/facts?limit=500", token, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 5
    tag = plain.headers["ETag"]
    for known in (tag, f'"other", W/{tag}', packed.headers["ETag"]):
        again = await served.get("/v1/facts?limit=500", token, headers={"If-None-Match": known})
        assert (again.status, again.body) == (304, b"")
    other = await served.get("/v1/facts?limit=499", token, headers={"If-None-Match": tag})
    assert other.status == 200


async def test_new_facts_are_waited_for(served: Served, url: str) -> None:
    token = served.token("facts")
    page = (await served.get(f"/v1/facts?limit={PAGE_FACTS}", token)).json
    assert not page["more"]
    waiting = asyncio.create_task(served.get(f"/v1/facts?wait_seconds=20&cursor={page['cursor']}", token))
    await until(lambda: served.services.watch.waiting)
    ledger = open_sql_ledger(url)
    write(ledger, 1, first_call=CALLS)
    ledger.close()
    came = (await waiting).json
    assert [fact["sequence"] for fact in came["facts"]] == list(range(ALL + 1, ALL + 1 + FACTS_PER_CALL))


async def test_going_on_after_an_id(served: Served) -> None:
    token = served.token("facts")
    first = (await served.get("/v1/facts?limit=10", token)).json
    rest = (await served.get(f"/v1/facts?limit=3&after_id={first['facts'][-1]['id']}", token)).json
    assert [fact["sequence"] for fact in rest["facts"]] == [11, 12, 13]


async def test_another_ledger_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    url = ledger_of(tmp_path / "old", 5)
    async with serving(url) as served:
        token = served.token("facts")
        page = (await served.get("/v1/facts?limit=30", token)).json
    other = ledger_of(tmp_path / "new", 5)
    (tmp_path / "old" / "mi").rename(tmp_path / "new" / "mi")
    async with serving(other) as served:
        refused = await served.get(f"/v1/facts?cursor={page['cursor']}", token)
        assert (refused.status, refused.json["type"]) == (409, "urn:edge101:problem:moved")


async def test_an_older_copy_of_the_ledger_is_noticed(tmp_path: Path) -> None:
    url = ledger_of(tmp_path, 5)
    shutil.copy(tmp_path / "ledger.sqlite", tmp_path / "copy")
    ledger = open_sql_ledger(url)
    write(ledger, 5, first_call=5)
    ledger.close()
    async with serving(url) as served:
        token = served.token("facts", "calls")
        page = (await served.get("/v1/facts?limit=120", token)).json
        assert page["facts"][-1]["sequence"] == 120
        calls = (await served.get("/v1/calls", token)).json
        assert (len(calls["calls"]), calls["complete"]) == (10, True)
    shutil.copy(tmp_path / "copy", tmp_path / "ledger.sqlite")
    for left in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
        (tmp_path / left).unlink(missing_ok=True)
    async with serving(url) as served:
        for path in (f"/v1/facts?cursor={page['cursor']}", f"/v1/calls?cursor={calls['cursor']}"):
            refused = await served.get(path, token)
            assert (refused.status, refused.json["type"]) == (409, "urn:edge101:problem:moved")
            assert "the ledger ends before it" in refused.json["detail"]
        ledger = open_sql_ledger(url)
        write(ledger, 10, first_call=100)  # other facts at the places that the reader has
        ledger.close()
        for path in (f"/v1/facts?cursor={page['cursor']}", f"/v1/calls?cursor={calls['cursor']}"):
            refused = await served.get(path, token)
            assert (refused.status, refused.json["type"]) == (409, "urn:edge101:problem:moved")
            assert "another fact at this place" in refused.json["detail"]
