"""What the probes of the record come to, on calls that are made up: numbers in, verdict and layer out."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from edge.core.facts import (
    CallArrived,
    CallConnected,
    CallEnded,
    Entry,
    Fact,
    LedgerTroubleBegan,
    OfferAnswered,
    OfferMade,
)
from edge.core.model import CallOutcome, ClockState, Instant, Side, Stage
from hwtest.capture import Record, Taken
from hwtest.lab.contract import Mi
from hwtest.probes import log_complete, log_error, log_pull
from hwtest.probes.contract import Layer, NotMeasuredError, Probe, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.record.calls import Course, Trial, _one, compare, match
from hwtest.record.reading import entry_of, pulled
from hwtest.useragent import CallState
from tests.probes.made import LIVE

SWITCH, CALLER, PHONE = 5060, 40001, 40002
START_NS = 1_790_000_000_000_000_000
MS = 1_000_000


def message(
    at_ms: float,
    source: int,
    target: int,
    label: str,
    leg: str,
    *,
    method: str | None = None,
    edge_call: str | None = None,
) -> Record:
    """One message of a test call."""
    return Record(
        START_NS + round(at_ms * MS),
        source,
        target,
        label,
        method or label,
        1,
        leg,
        f"{leg}{label}",
        False,
        "07700900123",
        edge_call,
    )


def trial(number: int, course: Course = Course.CALLER_ENDS, *, alone: bool = False) -> Trial:
    """A call that arrives, rings after 10 ms, is answered after 200 and ends after 500; or is given up after 100."""
    at, caller, phone = number * 1000.0, f"caller{number}", f"phone{number}"
    edge_call = None if alone else f"call-{number}"
    records = [
        message(at, CALLER, SWITCH, "INVITE", caller),
        message(at + 10, SWITCH, PHONE, "INVITE", phone, edge_call=edge_call),
    ]
    if course is Course.ABANDONED:
        records.append(message(at + 100, CALLER, SWITCH, "CANCEL", caller))
    else:
        records.append(message(at + 200, PHONE, SWITCH, "200", phone, method="INVITE"))
        ending = (CALLER, caller) if course is Course.CALLER_ENDS else (PHONE, phone)
        records.append(message(at + 500, ending[0], SWITCH, "BYE", ending[1]))
    return Trial(course, caller, CALLER, PHONE, rung=True, edge_call=edge_call, records=records)


def facts_of(one: Trial, number: int, *, late_ms: float = 2.0) -> list[tuple[float, Fact]]:
    """What the record holds of it, each fact so much after its message."""
    at, call, offer = number * 1000.0 + late_ms, f"call-{number}", f"call-{number}.1"
    made: list[tuple[float, Fact]] = [
        (
            at,
            CallArrived(call_id=call, leg_id="l", line="t", number_withheld=False, adopted=False, test=True),
        ),
        (
            at + 10,
            OfferMade(
                offer_id=offer, call_id=call, agent="test", phone="test1", ring_seconds=9, waited_seconds=0
            ),
        ),
    ]
    abandoned = one.course is Course.ABANDONED
    if not abandoned:
        made.append((at + 200, OfferAnswered(offer_id=offer, call_id=call, agent="test")))
        made.append((at + 200, CallConnected(offer_id=offer, call_id=call, agent="test", waited_seconds=0)))
    ended = CallEnded(
        call_id=call,
        outcome=CallOutcome.ABANDONED if abandoned else CallOutcome.ANSWERED,
        stage=Stage.RINGING if abandoned else Stage.TALKING,
        side=Side.CALLER,
        cause="16",
        waited_seconds=0,
        talked_seconds=0,
        agent=None,
    )
    return [*made, (at + (100 if abandoned else 500), ended)]


def entries_of(facts: list[tuple[float, Fact]], first: int = 11) -> list[Entry]:
    """Entries in sequence."""
    return [
        Entry(
            sequence=first + place,
            at=Instant(0, (START_NS + round(at * MS)) // 1000),
            fact=fact,
            reason="made up",
            clock=ClockState.SYNCHRONISED,
        )
        for place, (at, fact) in enumerate(facts)
    ]


def day(late_ms: float = 2.0, count: int = 6) -> tuple[list[Trial], list[Entry]]:
    """Calls of every course, and a record that has all of them."""
    trials = [trial(number, list(Course)[number % 3]) for number in range(count)]
    facts = [fact for n, one in enumerate(trials) for fact in facts_of(one, n, late_ms=late_ms)]
    return trials, entries_of(facts)


def said(sheet: Sheet) -> set[tuple[str, Layer]]:
    """Codes and layers that were found."""
    return {(finding.code, finding.layer) for finding in sheet.findings}


def sheet_of(probe: Probe) -> Sheet:
    """An empty one."""
    return Sheet(probe)


@pytest.mark.parametrize(
    ("late_ms", "verdict", "found"),
    [
        (2.0, Verdict.PASS, set()),
        (60.0, Verdict.WARN, {("log.error.late", Layer.DAEMON)}),
        (-5000.0, Verdict.FAIL, {("log.error.shifted", Layer.CLOCK)}),
    ],
)
def test_error(late_ms: float, verdict: Verdict, found: set[tuple[str, Layer]]) -> None:
    """Late facts are the daemon's; facts that are all off by the same are the clock's alone."""
    sheet = sheet_of(log_error.PROBE)
    log_error.judge(sheet, compare(match(*day(late_ms))))
    assert (sheet.verdict, said(sheet)) == (verdict, found)
    assert [figure.n for figure in sheet.figures[:6]] == [6, 6, 4, 4, 4, 2]


def test_error_missing() -> None:
    """An answer that stands in no fact fails."""
    trials, entries = day()
    kept = [entry for entry in entries if not isinstance(entry.fact, OfferAnswered)]
    sheet = sheet_of(log_error.PROBE)
    log_error.judge(sheet, compare(match(trials, kept)))
    assert ("log.error.missing", Layer.RECORD) in said(sheet)
    assert next(figure.value for figure in sheet.figures if figure.name == "events_missing") == 4


def complete(trials: list[Trial], entries: list[Entry]) -> Sheet:
    """The judgement of log.complete but for the hashes."""
    sheet = sheet_of(log_complete.PROBE)
    log_complete.judge(sheet, trials, entries, before=10)
    return sheet


def test_complete() -> None:
    """A whole record passes."""
    sheet = complete(*day())
    assert (sheet.verdict, said(sheet)) == (Verdict.PASS, set())


def test_a_call_taken_out() -> None:
    """Its facts are gone: the call is missing, and the sequence breaks."""
    trials, entries = day()
    sheet = complete(trials, [e for e in entries if getattr(e.fact, "call_id", "") != "call-3"])
    assert said(sheet) == {("log.complete.missing", Layer.RECORD), ("log.complete.broken", Layer.RECORD)}
    assert next(f.value for f in sheet.figures if f.name == "calls_recorded") == pytest.approx(100 * 5 / 6)


def test_a_call_twice() -> None:
    """One call that arrived twice in the record."""
    trials, entries = day()
    again = dataclasses.replace(entries[0], sequence=entries[-1].sequence + 1)
    assert ("log.complete.twice", Layer.RECORD) in said(complete(trials, [*entries, again]))


def test_the_switch_alone() -> None:
    """Calls that the daemon did not serve are the daemon's fault, not the record's."""
    trials = [trial(number, alone=True) for number in range(3)]
    assert said(complete(trials, [])) == {("log.complete.alone", Layer.DAEMON)}


def test_a_record_that_stands_still() -> None:
    """The daemon served, and nothing can be read: the disk."""
    trials, _ = day()
    sheet = complete(trials, [])
    assert (sheet.verdict, said(sheet)) == (Verdict.FAIL, {("log.complete.still", Layer.HOST)})


def test_trouble_is_told() -> None:
    """What the record says itself of its disk is found."""
    trials, entries = day()
    trouble = dataclasses.replace(
        entries[-1], sequence=entries[-1].sequence + 1, fact=LedgerTroubleBegan(detail="slow")
    )
    assert said(complete(trials, [*entries, trouble])) == {("log.complete.trouble", Layer.HOST)}


def pull(seen_after_ms: float, lost: int = 0, twice: int = 0) -> Sheet:
    """A reader that sees each fact so long after it was made, and loses or repeats some."""
    trials, entries = day()
    kept = entries[: len(entries) - lost]
    follower = log_pull.Follower(
        seen_ns={e.sequence: e.at.utc_us * 1000 + round(seen_after_ms * MS) for e in kept},
        entries=kept,
        ids=[str(e.sequence) for e in kept] + [str(e.sequence) for e in kept[:twice]],
    )
    sheet = sheet_of(log_pull.PROBE)
    log_pull.judge(sheet, match(trials, entries), follower, entries)
    return sheet


@pytest.mark.parametrize(
    ("sheet", "found"),
    [
        (pull(100.0), set()),
        (pull(2000.0), {("log.pull.late", Layer.HOST)}),
        (pull(100.0, lost=2), {("log.pull.lost", Layer.RECORD), ("log.pull.unseen", Layer.RECORD)}),
        (pull(100.0, twice=1), {("log.pull.twice", Layer.RECORD)}),
    ],
)
def test_pull(sheet: Sheet, found: set[tuple[str, Layer]]) -> None:
    """Late, lost and repeated facts are told apart."""
    assert said(sheet) == found


def test_a_pulled_fact_is_the_fact() -> None:
    """The JSON of the pull API becomes the daemon's own fact, to the microsecond; numbers may be left out."""
    entry = entry_of(
        {
            "sequence": 7,
            "kind": "OfferAnswered",
            "utc": "2026-11-26T17:24:36.311963Z",
            "monotonic_ns": 5,
            "clock": "unsynchronised",
            "reason": "r",
            "fact": {"offer_id": "o", "call_id": "c", "agent": "a"},
            "personal": None,
        }
    )
    assert entry.fact == OfferAnswered(offer_id="o", call_id="c", agent="a")
    assert entry.at.utc_us == 1_795_713_876_311_963


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (web.json_response({"facts": []}), "does not answer as the pull API does: KeyError 'ledger_id'"),
        (web.json_response({"facts": [], "ledger_id": 1, "head": [1]}), "pull API does: TypeError"),
        (
            web.json_response({"facts": [], "ledger_id": 1, "head": {"sequence": "x"}}),
            "pull API does: ValueError",
        ),
        (web.json_response([]), "it names no facts"),
        (web.Response(text="<html>"), "does not answer"),
        (web.Response(status=302, headers={"Location": "/elsewhere"}), "answered 302"),
    ],
)
async def test_a_pull_api_that_is_none(answer: web.Response, words: str) -> None:
    """What answers otherwise is not measured, and a redirection is not followed: the token stays with whom it is for."""
    asked = list[str]()

    async def reply(request: web.Request) -> web.Response:
        asked.append(request.path)
        return answer

    application = web.Application()
    application.router.add_get("/{path:.*}", reply)
    async with TestServer(application) as server:
        mi = Mi(url=str(server.make_url("/")), token="secret")
        async with pulled(dataclasses.replace(LIVE, mi=mi)) as record:
            with pytest.raises(NotMeasuredError, match=words):
                await record.last_sequence()
    assert asked == ["/v1/facts"]


class _Ended:
    """A call that was refused at once, a site that places it, and a capture that lost packets meanwhile."""

    dialog = SimpleNamespace(call_id="c")
    agent = SimpleNamespace(address=("127.0.0.1", CALLER))
    state = CallState.ENDED

    async def lasts(self, _: float) -> bool:
        return False

    @asynccontextmanager
    async def dial(self, _: str) -> AsyncIterator[_Ended]:
        yield self

    async def take(self) -> Taken:
        return Taken(records=[], dropped=2)


async def test_a_call_of_which_the_capture_lost_messages() -> None:
    """Is not compared with the record: what is missing on the wire would be too much there."""
    fake, phone = _Ended(), SimpleNamespace(calls=[], agent=SimpleNamespace(address=("127.0.0.1", PHONE)))
    with pytest.raises(NotMeasuredError, match="lost 2 packets"):
        await _one(fake, fake, phone, "5990", Course.CALLER_ENDS)  # type: ignore[arg-type]
