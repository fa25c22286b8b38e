"""Gaps, acknowledgements and disclosures over HTTP, and what stands around every answer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from edge.core.facts import (
    KINDS,
    ClockChanged,
    DaemonStarted,
    DaemonStopped,
    Entry,
    Fact,
    GapEnded,
    LedgerTroubleBegan,
    LedgerTroubleEnded,
    SwitchLost,
    SwitchRestored,
)
from edge.core.model import Blindness, Bound, ClockState, Instant
from edge.ledger.store import open_sql_ledger
from edge.mi.acknowledgements import acknowledged_through
from edge.mi.vocabulary import EVENTS
from tests.mi.conftest import CALLS
from tests.mi.record import FACTS_PER_CALL, utc_of
from tests.mi.serving import Served, serving

ALL = CALLS * FACTS_PER_CALL


def moment(seconds: float) -> Instant:
    """So long after the first trouble."""
    utc_us = utc_of(CALLS) + 10_000_000 + round(seconds * 1_000_000)
    return Instant(utc_us * 1000, utc_us)


RESTORED = SwitchRestored(calls_adopted=0, calls_kept=0, calls_missing=0)
TROUBLES: list[Fact] = [
    DaemonStopped(why="SIGTERM"),
    DaemonStarted(version="1", policy_digest="0", boot_id="b"),
    RESTORED,
    SwitchLost(link="ari", error="gone"),
    RESTORED,
    LedgerTroubleBegan(detail="slow"),
    LedgerTroubleEnded(detail="3 facts lost"),
    ClockChanged(state=ClockState.UNSYNCHRONISED, error_us=None),
    SwitchLost(link="ami", error="gone"),
    GapEnded(gap=1, why=Blindness.LINK_LOST, since=moment(7.5), bound=Bound.SEEN, seconds=1.5, calls=()),
    RESTORED,
    GapEnded(
        gap=2, why=Blindness.DAEMON_HUNG, since=moment(10), bound=Bound.HEARTBEAT, seconds=1.0, calls=()
    ),
]
"""A second after the other, beginning ten seconds after the last call."""


@pytest.fixture
async def served(url: str) -> AsyncIterator[Served]:
    async with serving(url) as made:
        yield made


def trouble(url: str) -> None:
    """Write the troubles at the end of the ledger."""
    ledger = open_sql_ledger(url)
    ledger.append(
        [
            Entry(
                sequence=ALL + 1 + index,
                at=moment(index),
                fact=fact,
                reason="It came to this.",
                clock=ClockState.SYNCHRONISED,
            )
            for index, fact in enumerate(TROUBLES)
        ]
    )
    ledger.close()


async def test_gaps_are_told_and_told_again_once_they_have_ended(served: Served, url: str) -> None:
    token = served.token("facts")
    whole = (await served.get("/v1/gaps", token)).json
    assert (whole["gaps"], whole["complete"], whole["through_sequence"]) == ([], True, ALL)
    trouble(url)
    told = (await served.get("/v1/gaps", token)).json
    assert [(gap["kind"], gap["seconds"]) for gap in told["gaps"]] == [
        ("switch", 2.0),
        ("switch", 1.0),
        ("ledger", 1.0),
        ("clock", None),
        ("switch", 1.5),
        ("switch", 1.0),
    ]
    assert "link lost; its beginning is known by: seen" in told["gaps"][4]["detail"]
    assert told["gaps"][5]["detail"].startswith("daemon hung")
    assert told["gaps"][0]["detail"] == "the daemon stopped: SIGTERM"
    assert "3 facts lost" in told["gaps"][2]["detail"]
    assert told["gaps"][0]["id"] == f"{told['ledger_id']}-{ALL + 1}"
    first = (await served.get("/v1/gaps?limit=2", token)).json
    assert (len(first["gaps"]), first["more"]) == (2, True)
    rest = (await served.get(f"/v1/gaps?after_id={first['gaps'][-1]['id']}", token)).json
    assert first["gaps"] + rest["gaps"] == told["gaps"]
    for after_id, status, name in (
        (f"other-{ALL + 1}", 409, "moved"),
        (f"{told['ledger_id']}-{10**9}", 409, "moved"),
        ("x", 422, "start"),
    ):
        refused = await served.get(f"/v1/gaps?after_id={after_id}", token)
        assert (refused.status, refused.json["type"]) == (status, f"urn:edge101:problem:{name}")
    late = (await served.get("/v1/gaps?since=2026-09-21T14:14:03Z", token)).json
    assert [gap["seconds"] for gap in late["gaps"]] == [1.0, None, 1.5, 1.0]
    early = (await served.get("/v1/gaps?until=2026-09-21T14:14:00Z", token)).json
    assert [gap["seconds"] for gap in early["gaps"]] == [2.0]


async def test_a_reader_acknowledges_and_never_goes_back(served: Served, url: str) -> None:
    token, other = served.token("facts"), served.token("facts", reader="other")
    first = (await served.get("/v1/facts?limit=10", token)).json
    second = (await served.get(f"/v1/facts?limit=10&cursor={first['cursor']}", token)).json
    part = (await served.get("/v1/facts?limit=5&kind=CallArrived", token)).json
    for cursor, position in ((second["cursor"], 20), (first["cursor"], 20), (second["cursor"], 20)):
        said = await served.ask("POST", "/v1/acknowledgements", token, json={"cursor": cursor})
        assert (said.status, said.json["position"], said.json["whole"]) == (200, position, True)
    of_part = await served.ask("POST", "/v1/acknowledgements", token, json={"cursor": part["cursor"]})
    assert of_part.json["whole"] is False
    known = (await served.get("/v1/acknowledgements", token)).json["acknowledgements"]
    assert [(each["position"], each["whole"]) for each in known] == [(20, True), (65, False)]
    assert (await served.get("/v1/acknowledgements", other)).json["acknowledgements"] == []
    ledger_id = first["ledger_id"]
    assert acknowledged_through(served.services.directory, ledger_id) == {"central": 20}
    assert acknowledged_through(served.services.directory, "f" * 32) == {}
    assert acknowledged_through(served.services.directory / "nowhere", ledger_id) == {}


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"cursor":7}', b'{"cursor":"x","more":1}', b"\xff\xfe", b"{" * 9999]
)
async def test_what_is_no_acknowledgement(served: Served, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    said = await served.ask("POST", "/v1/acknowledgements", served.token(), data=body, headers=headers)
    assert said.status in (400, 422)
    assert said.json["mend"]


async def test_every_pull_is_written_down_and_pulled_itself(served: Served) -> None:
    token, other = served.token(), served.token("facts", reader="other")
    await served.get("/v1/facts?limit=10", token)
    await served.get("/v1/facts?limit=7&line=welsh&since=2026-09-21T14:13:20Z", other)
    await served.get("/v1/facts?limit=0", token)  # refused: nothing was told
    page = (await served.get("/v1/disclosures?limit=3", token)).json
    found = [*page["disclosures"]]
    while page["more"]:
        page = (await served.get(f"/v1/disclosures?limit=3&cursor={page['cursor']}", token)).json
        found += page["disclosures"]
    facts = [each for each in found if each["resource"] == "facts"]
    assert [(each["reader"], each["count"], each["numbers"]) for each in facts] == [
        ("central", 10, True),
        ("other", 7, False),
    ]
    assert (facts[1]["selection"], facts[1]["since"]) == ("line=welsh", "2026-09-21T14:13:20.000000Z")
    assert facts[0]["address"] == "127.0.0.1"
    again = (await served.get("/v1/disclosures", token)).json["disclosures"]
    assert "disclosures" in [each["resource"] for each in again], "who looks at the log stands in it"
    mine = (await served.get("/v1/disclosures?reader=other", token)).json["disclosures"]
    assert {each["reader"] for each in mine} == {"other"}
    (gone,) = {(await served.get("/v1/facts?limit=1", None)).status}
    assert gone == 401


async def test_who_asks_while_there_is_nothing_is_written_down_now_and_then(served: Served) -> None:
    token = served.token()
    page = (await served.get("/v1/facts?limit=5000", token)).json
    for _ in range(5):
        assert (await served.get(f"/v1/facts?cursor={page['cursor']}", token)).json["facts"] == []
    pulls = (await served.get("/v1/disclosures", token)).json["disclosures"]
    assert [pull["count"] for pull in pulls] == [ALL, 0]


async def test_every_answer_is_guarded(served: Served) -> None:
    for path in ("/healthz", "/v1/facts", "/nowhere", "/openapi.json"):
        answer = await served.get(path)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "no-cache" in answer.headers["Cache-Control"]
        assert "Server" not in answer.headers
    assert (await served.ask("DELETE", "/v1/facts", served.token())).status == 405
    assert (await served.get("/docs")).status == 404


def test_every_name_of_the_vocabulary_is_of_a_fact_that_there_is() -> None:
    assert set(EVENTS) <= set(KINDS)
    assert all(event.endswith("LogEvent") for event in EVENTS.values())
