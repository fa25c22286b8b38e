"""`edge hold`, `edge ledger retain`, `subject` and `audit`."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.cli import output
from edge.core.facts import KINDS, CallAnnotated, CallArrived, personal_fields
from edge.core.model import Instant
from edge.ledger.store import open_reader, open_sql_ledger
from edge.mi.acknowledgements import Acknowledgements
from edge.mi.cursors import Cursor
from edge.mi.disclosures import Disclosure, Disclosures
from edge.mi.store import open_store
from edge.ship.state import state_file
from tests.cli.conftest import Run, Site

WHY = ("--why", "request 12/2026")
DAY_US = 86_400_000_000
RETENTION = """
[retention]
emergency_days = 400
routine_days = 100
callback_days = 100
task_days = 100
"""


@pytest.fixture
def later(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """150 days after the shift, with rules."""
    site.configuration.write_text(site.configuration.read_text() + RETENTION)
    now = site.room.now
    monkeypatch.setattr(output, "now", lambda: Instant(now.monotonic_ns, now.utc_us + 150 * DAY_US))
    return site


def acknowledge(site: Site, sequence: int, reader: str = "central") -> None:
    """A reader of `edge mi` has the facts up to there."""
    store = open_store(site.directory / "mi")
    with closing(open_reader(site.ledger_url)) as ledger:
        cursor = Cursor(stream="facts", position=sequence, ledger_id=ledger.ledger_id, filters="")
    Acknowledgements(store, lambda: 0).note(reader, "token", cursor)
    store.close()


def disclose(site: Site) -> None:
    """Some pulls with numbers and without, of some facts and of others."""
    store = open_store(site.directory / "mi")
    log, end = Disclosures(store, lambda: 0), site.room.now.utc_us
    one = Disclosure(
        at_utc_us=end,
        reader="central",
        token_id="t",
        address="127.0.0.1",
        resource="facts",
        first_position=1,
        last_position=last(site),
        count=last(site),
        numbers=True,
        purpose="audit",
    )
    log.record(one)
    log.record(replace(one, reader="without", numbers=False))
    log.record(replace(one, reader="later", first_position=last(site) + 1, last_position=last(site) + 9))
    log.record(replace(one, reader="wallboard", resource="calls", purpose=None))
    log.record(replace(one, reader="before", resource="calls", at_utc_us=1))
    store.close()


def last(site: Site) -> int:
    return site.room.entries[-1].sequence


def numbers(site: Site) -> dict[str, str]:
    """Call -> caller's number, as far as it is kept."""
    with closing(open_reader(site.ledger_url)) as reader:
        facts = [entry.fact for entry in reader.read(0, 100_000)]
    return {
        fact.call_id: fact.caller_number
        for fact in facts
        if isinstance(fact, CallArrived) and fact.caller_number
    }


def classes(plan: dict[str, Any]) -> dict[str, dict[str, int]]:
    return {each["class"]: each["calls"] for each in plan["classes"] if each["calls"]}


def test_every_kind_with_personal_data_is_of_a_call() -> None:
    """Retention and erasing find personal data by the call; a kind without one would be kept for ever."""
    assert [
        name for name, kind in KINDS.items() if personal_fields(kind) and "call_id" not in kind.__slots__
    ] == []


def test_nothing_goes_before_it_was_acknowledged(later: Site, edge_json: Callable[..., Any]) -> None:
    """Due as it may be: without a reader nothing is erased, and then only what the slowest has."""
    before = numbers(later)
    plan = edge_json("ledger", "retain", "--apply")
    assert (plan["acknowledged_through"], plan["facts"], numbers(later)) == (0, 0, before)
    assert classes(plan)["routine"]["not_acknowledged"] > 0
    acknowledge(later, last(later))
    acknowledge(later, 1, "slow")
    assert (edge_json("ledger", "retain", "--apply")["acknowledged_through"], numbers(later)) == (1, before)


def readers(site: Site) -> list[str]:
    """Of the log of disclosures."""
    store = open_store(site.directory / "mi")
    found = [each.reader for each in Disclosures(store, lambda: 0).page(0, 100)]
    store.close()
    return found


def test_the_log_of_disclosures_has_a_class_of_its_own(
    later: Site, edge: Run, edge_json: Callable[..., Any]
) -> None:
    """Seven years where nothing is said: what is older goes, on the record, but none under a legal hold."""
    disclose(later)
    everybody = readers(later)
    held = edge_json("hold", "add", "--from", "2020-01-01", "--until", "2020-01-02", *WHY)["hold"]
    done = edge_json("ledger", "retain", "--apply")
    assert (done["disclosures"], readers(later)) == ({"days": 2557, "lines": 0}, everybody)
    edge_json("hold", "release", str(held), *WHY)
    store = open_store(later.directory / "mi")
    log = Disclosures(store, lambda: 0)
    log.record(replace(log.page(0, 1)[0], reader="today"))
    store.close()
    assert "1 lines of the log of disclosures." in edge("ledger", "retain").stdout
    assert readers(later) == [*everybody, "today"]
    assert edge_json("ledger", "retain", "--apply")["disclosures"]["lines"] == 1
    assert readers(later) == ["central", "without", "later", "wallboard", "today"]
    (entry,) = [e for e in edge_json("ledger", "audit")["entries"] if e["what"] == "retain disclosures"]
    assert entry["detail"]["lines"] == 1


def test_the_newest_disclosure_stays(later: Site, edge_json: Callable[..., Any]) -> None:
    """However old: its number must not be given again, as readers go on from it. A copy of the ledger touches none."""
    disclose(later)
    later.configuration.write_text(later.configuration.read_text() + "disclosures_days = 100\n")
    copy = later.directory / "copy.sqlite"
    with closing(open_sql_ledger(f"sqlite:///{copy}")) as ledger:
        ledger.append(later.room.entries)
    assert (
        edge_json("--ledger", f"sqlite:///{copy}", "ledger", "retain", "--apply")["disclosures"]["lines"] == 0
    )
    assert edge_json("ledger", "retain", "--apply")["disclosures"]["lines"] == 4
    assert readers(later) == ["before"]
    disclose(later)
    store = open_store(later.directory / "mi")
    assert [each.disclosure for each in Disclosures(store, lambda: 0).page(5, 9)] == [6, 7, 8, 9, 10]
    store.close()


def test_nothing_goes_before_it_was_shipped(later: Site, edge: Run, edge_json: Callable[..., Any]) -> None:
    """Where the ledger is shipped, the shared database must have it too; a note about another ledger does not count."""
    acknowledge(later, last(later))
    later.configuration.write_text(later.configuration.read_text() + '[ship]\nto = "postgresql://u@/x"\n')
    with closing(open_reader(later.ledger_url)) as reader:
        ledger_id = reader.ledger_id
    state = state_file(later.ledger_url)
    assert state is not None
    for shipped, wanted in (
        (None, 0),
        ((ledger_id, 3), 3),
        (("0" * 32, 10**6), 0),
        ((ledger_id, 10**6), last(later)),
    ):
        if shipped is not None:
            note = {"ledger_id": shipped[0], "sequence": shipped[1], "utc_us": 1}
            state.write_text(json.dumps(note), encoding="ascii")
        assert edge_json("ledger", "retain")["acknowledged_through"] == wanted
    assert "the shared database has the facts up to 1000000" in edge("ledger", "retain").stdout


def test_a_dry_run_says_what_would_be_done_and_then_it_is(
    later: Site, edge: Run, edge_json: Callable[..., Any]
) -> None:
    """The plan and its execution are the same; 999 and open calls keep theirs; every figure and the chain stay as they were."""
    acknowledge(later, last(later))
    figures = [
        edge_json("calls", "--last", "1000", "--since", "1000d"),
        edge_json("ledger", "statistics")["facts"],
    ]
    before = numbers(later)
    dry = edge_json("ledger", "retain")
    assert (numbers(later), dry["applied"]) == (before, False)
    done = edge_json("ledger", "retain", "--apply")
    assert (done["applied"], done["facts"], classes(done)) == (True, dry["facts"], classes(dry))
    assert dry["facts"] > 0
    kept = numbers(later)
    gone = before.keys() - kept.keys()
    assert len(gone) == sum(counts.get("erase", 0) for counts in classes(dry).values())
    assert later.ids["talking"] in kept
    assert classes(edge_json("ledger", "retain")).get("routine", {}).get("erase", 0) == 0
    assert edge_json("ledger", "verify")["sound"]
    after = [
        edge_json("calls", "--last", "1000", "--since", "1000d"),
        edge_json("ledger", "statistics")["facts"],
    ]
    assert without_numbers(after) == without_numbers(figures)
    assert "Nothing was changed" in edge("ledger", "retain").stdout
    (entry,) = [each for each in edge_json("ledger", "audit")["entries"] if each["what"] == "retain"]
    assert (entry["why"], entry["detail"]["facts"]) == ("retention", dry["facts"])


def without_numbers(document: Any) -> Any:
    """The same without what tells callers apart."""
    if isinstance(document, dict):
        return {
            name: without_numbers(value)
            for name, value in document.items()
            if name not in {"caller", "caller_mask", "number_mask"}
        }
    return [without_numbers(each) for each in document] if isinstance(document, list) else document


def test_a_hold_holds_until_it_is_released(later: Site, edge: Run, edge_json: Callable[..., Any]) -> None:
    """By number and by call, against retention and erasing alike; the number is shown to nobody."""
    acknowledge(later, last(later))
    call_id = later.ids["answered"]
    number = numbers(later)[call_id]
    assert edge_json("hold", "add", "--number", number, *WHY) == {"hold": 1}
    assert edge_json("ledger", "retain", "--apply")["facts"] >= 0
    assert numbers(later)[call_id] == number
    refused = edge("ledger", "erase", call_id, "--yes", *WHY)
    assert (refused.exit_code, "is under legal hold 1 (request 12/2026)" in refused.stderr) == (1, True)
    listed = edge("hold", "list")
    assert (number[-9:] in listed.stdout, number[-3:] in listed.stdout) == (False, True)
    assert edge_json("hold", "list")["holds"][0]["number_mask"] == f"…{number[-3:]}"
    assert edge("hold", "release", "1", *WHY).exit_code == 0
    assert edge("hold", "release", "1", *WHY).exit_code == 1
    assert edge_json("hold", "list") == {"holds": []}
    assert "a number" in edge("hold", "list", "--all").stdout
    edge_json("ledger", "retain", "--apply")
    assert call_id not in numbers(later)
    assert [each["what"] for each in edge_json("ledger", "audit")["entries"]] == [
        "hold",
        "retain",
        "release",
        "retain",
    ]


def test_a_held_period_holds_a_call_with_a_late_fact_in_it(
    later: Site, edge: Run, edge_json: Callable[..., Any]
) -> None:
    """Retention and the erasing reckon a call's time alike: it is kept, and the others go all the same."""
    call_id, before = later.ids["answered"], later.room.entries[-1]
    late = replace(
        before,
        sequence=before.sequence + 1,
        at=before.at.plus(2 * 86_400),
        fact=CallAnnotated(call_id=call_id, kind="incident", value="OIS-4711", state="", by="4001"),
    )
    with closing(open_sql_ledger(later.ledger_url)) as ledger:
        ledger.append([late])
    acknowledge(later, late.sequence)
    day = datetime.fromtimestamp(late.at.utc_us / 1_000_000, UTC).date() - timedelta(days=1)
    edge_json("hold", "add", "--from", str(day), *WHY)
    done = edge_json("ledger", "retain", "--apply")
    assert (classes(done)["routine"]["held"], call_id in numbers(later)) == (1, True)
    assert classes(done)["routine"]["erase"] > 0


def test_kinds_of_holds(
    site: Site, edge: Run, edge_json: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call by the end of its id, a period of the site's days, whatever the machine's zone; what makes no sense is refused."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    call_id = site.ids["answered"]
    edge_json("hold", "add", "--call", call_id[-8:], *WHY)
    edge_json("hold", "add", "--from", "2026-01-01", *WHY)
    edge_json("hold", "add", "--from", "2026-03-29", "--until", "2026-03-29", *WHY)
    one, since, day = edge_json("hold", "list")["holds"]
    assert (one["call_id"], since["until"]) == (call_id, None)
    assert (day["from"], day["until"]) == (
        "2026-03-29T00:00:00.000000Z",
        "2026-03-29T22:59:59.999999Z",
    )  # of 23 hours
    for wrong in (
        (),
        ("--call", call_id, "--from", "2026-01-01"),
        ("--from", "2026-02-01", "--until", "2026-01-01"),
    ):
        assert edge("hold", "add", *wrong, *WHY).exit_code == 2
    refused = edge("hold", "add", "--call", call_id, "--why", "asked by 01632 960001")
    assert (refused.exit_code, "must not have a telephone number in it" in refused.stderr) == (2, True)


def test_erasing_by_number(site: Site, edge: Run, edge_json: Callable[..., Any]) -> None:
    """However it is written, from the command line; somebody of whom nothing is held is told so."""
    call_id = site.ids["rejected"]
    number = numbers(site)[call_id]
    done = edge_json("ledger", "erase", "--number", number, "--yes", *WHY)
    assert (call_id in done["calls"], call_id in numbers(site)) == (True, False)
    refused = edge("ledger", "erase", "--number", "+441632960999", "--yes", *WHY)
    assert (refused.exit_code, "nothing is held about this number" in refused.stderr) == (1, True)


def test_subject_access(site: Site, edge: Run, edge_json: Callable[..., Any], tmp_path: Path) -> None:
    """Everything about one number, readable and as JSON, for one user only, with nobody else's number in it; it is audited."""
    kept = numbers(site)
    call_id = site.ids["answered"]
    number = kept[call_id]
    file = tmp_path / "subject.txt"
    disclose(site)
    done = edge("ledger", "subject", number, "--out", str(file), *WHY)
    assert done.exit_code == 0, done.stderr
    document = json.loads((tmp_path / "subject.txt.json").read_text())
    theirs = [call for call, its in kept.items() if its == number]
    assert [call["call_id"] for call in document["calls"]] == theirs
    arrived = document["calls"][0]["facts"][0]
    assert (arrived["kind"], arrived["fields"]["caller_number"]) == ("CallArrived", number)
    text = file.read_text()
    assert (number in text, call_id in text) == (True, True)
    assert [(each["reader"], each["certain"]) for each in document["disclosures"]] == [
        ("central", True),
        ("wallboard", False),
    ]
    assert ("central (facts) for: audit" in text, "wallboard (calls), possibly" in text) == (True, True)
    others = {each for each in kept.values() if each != number}
    assert not [each for each in others if each in text or each in json.dumps(document)]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (file, tmp_path / "subject.txt.json")} == {0o600}
    (entry,) = edge_json("ledger", "audit")["entries"]
    assert (entry["what"], entry["detail"]["calls"]) == ("subject access", theirs)
    again = edge("ledger", "subject", number, "--out", str(file), *WHY)
    assert (again.exit_code, "name another file" in again.stderr) == (1, True)


def test_a_changed_audit(site: Site, edge: Run) -> None:
    """It is shown, and said to be broken."""
    import sqlite3

    edge("ledger", "erase", site.ids["answered"], "--yes", *WHY)
    with closing(sqlite3.connect(site.directory / "ledger.sqlite")) as other, other:
        other.execute("UPDATE audit SET who = 'somebody'")
    shown = edge("ledger", "audit")
    assert (shown.exit_code, "BROKEN: entry 1 of the audit" in shown.stdout) == (1, True)


@pytest.mark.parametrize("days", ["7", "30", "-1", "1.5"])
def test_data_that_is_still_looked_back_upon_is_kept(site: Site, edge: Run, days: str) -> None:
    """Callers' earlier calls are known for thirty days: no class but that of test calls is kept for less."""
    site.configuration.write_text(site.configuration.read_text() + f"[retention]\nroutine_days = {days}\n")
    refused = edge("ledger", "retain")
    assert (refused.exit_code, "routine_days" in refused.stderr) == (78, True)
