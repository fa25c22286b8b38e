"""Pages made ahead: nobody can tell them from pages made at once, whatever happens to the ledger in between."""

from __future__ import annotations

import json
import os
import shutil
import signal
from asyncio import Future
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.ledger.maintenance import Warrant
from edge.ledger.store import erase, open_sql_ledger
from edge.mi import page_maker
from edge.mi.ahead import PAGES_AHEAD, Ahead
from edge.mi.facts_page import FactsMade, Wanted
from edge.mi.formats import Form
from edge.mi.page_maker import PAGES_BEGUN, PageMaker
from edge.mi.stream import Selection, Start
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

    def noted(ahead: Ahead, token_id: str, wanted: Wanted) -> Future[FactsMade | None] | None:
        page = take(ahead, token_id, wanted)
        if page is not None:
            page.add_done_callback(note)
        return page

    def note(page: Future[FactsMade | None]) -> None:
        if (made := page.result()) is not None:
            taken.append(made)

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
    await all_ready(served)
    return second


async def all_ready(served: Served) -> None:
    """What was begun is made."""
    ahead = served.services.ahead
    await until(lambda: ahead.ready == ahead.kept)


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
        await all_ready(served)
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


WANTED = Wanted(Selection(), Start(), LIMIT, Form.NDJSON, "", numbers=False)
OTHER = WANTED._replace(limit=LIMIT + 1)


@pytest.fixture
async def maker(url: str) -> AsyncIterator[PageMaker]:
    made = PageMaker(url, b"key")
    yield made
    await made.close()


async def made_by(maker: PageMaker, wanted: Wanted = WANTED) -> FactsMade | None:
    """The page, made in the process."""
    order = maker.begin(wanted)
    assert order is not None
    return await order.page


async def test_what_is_not_asked_for_is_forgotten(maker: PageMaker) -> None:
    """A reader that asks for something else has nothing kept any more."""
    ahead = Ahead(maker)
    ahead.begin("token", WANTED)
    await until(lambda: ahead.ready)
    assert ahead.take("other", WANTED) is None
    assert ahead.take("token", OTHER) is None
    assert (ahead.kept, ahead.take("token", WANTED)) == (0, None)
    ahead.begin("token", WANTED)
    await until(lambda: ahead.ready)
    page = ahead.take("token", WANTED)
    assert page is not None
    made = page.result()
    assert made is not None
    assert made.body.count(b"\n") == made.count == LIMIT


async def test_a_page_whose_turn_has_not_come_is_made_at_once(maker: PageMaker) -> None:
    """Nobody waits for the pages of others."""
    ahead = Ahead(maker)
    ahead.begin("token", WANTED)
    assert ahead.take("token", WANTED) is None


async def test_so_many_are_begun(maker: PageMaker) -> None:
    """Where the process does not keep up, no more is asked of it."""
    orders = [maker.begin(WANTED) for _ in range(PAGES_BEGUN + 1)]
    assert orders.count(None) == 1
    for order in orders[1:]:
        if order is not None:
            order.page.cancel()
    assert orders[0] is not None
    assert await orders[0].page is not None
    assert await made_by(maker) is not None


async def test_what_cannot_be_made_is_none(maker: PageMaker) -> None:
    """Another ledger's cursor: why is told to who asks for the page. The next one is made."""
    assert await made_by(maker, WANTED._replace(start=Start(1, "another"))) is None
    assert await made_by(maker) is not None


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_process_dies_or_hangs(
    served: Served, monkeypatch: pytest.MonkeyPatch, fault: signal.Signals
) -> None:
    """The reader has its page all the same, and another process makes the pages after it."""
    monkeypatch.setattr(page_maker, "REST_SECONDS", 0.0)
    maker, token = served.services.ahead.maker, served.token("facts")
    second = await two_pages(served, token)
    process = maker.process
    assert process is not None
    with monkeypatch.context() as hasty:
        hasty.setattr(page_maker, "MAKE_SECONDS", 0.1)
        process.send_signal(fault)
        third = await page(served, token, second)
        fourth = await page(served, token, third)
    assert fourth.body == (await page(served, served.token("facts"), third)).body
    await (
        process.wait()
    )  # with which status is not known where `kill` was the first to look (CPython's send_signal)
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
    await page(served, token, fourth)
    await all_ready(served)
    assert maker.process not in (None, process)
