"""Pages made ahead: nobody can tell them from pages made at once, whatever happens to the ledger in between."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from edge.ledger.maintenance import Warrant
from edge.ledger.store import erase, open_sql_ledger
from edge.mi.ahead import PAGES_AHEAD, Ahead, FactsMade
from edge.mi.stream import Start
from tests.mi.conftest import CALLS
from tests.mi.record import FACTS_PER_CALL, write
from tests.mi.serving import Answer, Served, ledger_of, serving, until

ALL = CALLS * FACTS_PER_CALL
LIMIT = 100


@pytest.fixture
async def served(url: str) -> AsyncIterator[Served]:
    async with serving(url) as made:
        yield made


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[FactsMade]:
    """The pages that were made ahead and asked for."""
    taken: list[FactsMade] = []
    take = Ahead.take

    def noted(ahead: Ahead, token_id: str, wanted: object) -> Future[FactsMade] | None:
        page = take(ahead, token_id, wanted)
        if page is not None:
            taken.append(page.result())
        return page

    monkeypatch.setattr(Ahead, "take", noted)
    return taken


async def page(served: Served, token: str, after: Answer | None, form: str = "ndjson") -> Answer:
    """The page after this one."""
    cursor = "" if after is None else f"&cursor={after.headers['Edge101-Cursor']}"
    found = await served.get(f"/v1/facts?limit={LIMIT}&format={form}{cursor}", token)
    assert found.status == 200, found.body
    return found


async def two_pages(served: Served, token: str, form: str = "ndjson") -> Answer:
    """Two, and the third is made."""
    second = await page(served, token, await page(served, token, None, form), form)
    await until(lambda: served.services.ahead.ready)
    return second


@pytest.mark.parametrize("form", ["ndjson", "json", "csv"])
@pytest.mark.parametrize("scopes", [("facts",), ("facts", "numbers")])
async def test_byte_for_byte(
    served: Served, given: list[FactsMade], form: str, scopes: tuple[str, ...]
) -> None:
    """To a token that follows, and to one that begins there: the same bytes, headers and entries in the log of disclosures."""
    told = served.services.disclosures
    token, last, count = served.token(*scopes), None, 0
    while last is None or last.headers["Edge101-More"] == "true":
        before = len(told.page(0, 1000))
        begun = await page(served, served.token(*scopes), last, form)
        last = await page(served, token, last, form)
        count += 1
        assert last.body == begun.body
        for name in ("ETag", "Edge101-Cursor", "Edge101-More", "Edge101-Head", "Content-Length"):
            assert last.headers[name] == begun.headers[name]
        one, other = told.page(0, 1000)[before:]
        assert (one.first_position, one.last_position, one.count, one.numbers) == (
            other.first_position,
            other.last_position,
            other.count,
            other.numbers,
        )
    assert count == -(-ALL // LIMIT)
    assert len(given) == count - 2  # the first two have nobody who followed before them


async def test_what_was_erased_meanwhile_is_not_given(
    served: Served, given: list[FactsMade], url: str
) -> None:
    """Made with the number, erased, asked for."""
    token = served.token("facts", "numbers")
    second = await two_pages(served, token)
    reader = open_sql_ledger(url)
    call = next(
        record.row.call_id for record in reader.page(2 * LIMIT, LIMIT)[0] if record.personal is not None
    )
    reader.close()
    erase(url, call_ids=[str(call)], warrant=Warrant("ann", "test"))
    facts = list(map(json.loads, (await page(served, token, second)).body.splitlines()))
    assert len(given) == 1
    assert b'"personal":{' in given[0].body
    (gone,) = [fact for fact in facts if fact["erased"]]
    assert (gone["call_id"], gone["personal"], gone["number_hash"]) == (call, None, None)


@pytest.mark.parametrize("form", ["ndjson", "json"])
async def test_a_ledger_that_grew_meanwhile(
    served: Served, given: list[FactsMade], url: str, form: str
) -> None:
    """The head that is told is the newest."""
    token = served.token("facts")
    second = await two_pages(served, token, form)
    ledger = open_sql_ledger(url)
    write(ledger, 1, first_call=CALLS)
    head = ledger.head()
    ledger.close()
    third = await page(served, token, second, form)
    assert len(given) == 1
    assert given[0].head_sequence == ALL
    assert third.headers["Edge101-Head"] == f"{head.sequence}:{head.hash}"
    if form == "json":
        assert third.json["head"] == {"sequence": head.sequence, "hash": head.hash}


async def test_another_record_in_its_place(tmp_path: Path, given: list[FactsMade]) -> None:
    """The page of the old one is not given."""
    (tmp_path / "other").mkdir()
    other = ledger_of(tmp_path / "other", CALLS).removeprefix("sqlite:///")
    url = ledger_of(tmp_path, CALLS)
    async with serving(url) as served:
        token = served.token("facts")
        second = await two_pages(served, token)
        for left in ("-wal", "-shm"):
            Path(f"{tmp_path / 'ledger.sqlite'}{left}").unlink(missing_ok=True)  # noqa: ASYNC240
        shutil.move(other, tmp_path / "ledger.sqlite")
        cursor = second.headers["Edge101-Cursor"]
        refused = await served.get(f"/v1/facts?limit={LIMIT}&format=ndjson&cursor={cursor}", token)
        assert len(given) == 1
        assert (refused.status, refused.json["type"]) == (409, "urn:edge101:problem:moved")


async def test_so_many_are_kept_and_who_is_dropped_is_served_all_the_same(
    served: Served, given: list[FactsMade]
) -> None:
    """More readers than pages: the oldest page is dropped, and nobody notices."""
    tokens = [served.token("facts", reader=f"reader-{number}") for number in range(PAGES_AHEAD + 2)]
    seconds = [await two_pages(served, token) for token in tokens]
    assert served.services.ahead.kept == PAGES_AHEAD
    thirds = [await page(served, token, second) for token, second in zip(tokens, seconds, strict=True)]
    assert len({third.body for third in thirds}) == 1
    assert len(given) < len(tokens)


def test_what_is_not_asked_for_is_forgotten() -> None:
    """A reader that asks for something else has nothing kept any more."""
    ahead = Ahead()
    made = FactsMade(
        body=b"",
        cursor="",
        end=Start(),
        more=False,
        head_sequence=0,
        head_hash="",
        count=0,
        kept=0,
        first=0,
        last=0,
    )
    ahead.begin("token", "this", lambda: made)
    assert ahead.take("other", "this") is None
    assert ahead.take("token", "that") is None
    assert (ahead.kept, ahead.take("token", "this")) == (0, None)
    ahead.begin("token", "this", lambda: made)
    page_made = ahead.take("token", "this")
    assert page_made is not None
    assert page_made.result() is made
    ahead.close()
