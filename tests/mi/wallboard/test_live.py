"""The live fold: the same as everything folded anew, and never an old number shown as a new one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from edge.core import facts, inputs
from edge.core.model import CallOutcome, CheckVerdict, Instant, Side
from edge.core.state import replay
from edge.mi.wallboard import live as live_module
from edge.mi.wallboard.day import Tally, midnight_utc_us
from edge.mi.wallboard.live import Live
from edge.mi.wallboard.picture import picture, without_calls
from edge.mi.wallboard.signs import OVERDUE_SECONDS, Daemon, Disk
from edge.views.calls import fold_calls
from edge.views.queues import view_queues
from edge.views.shift import summarise
from tests.mi.wallboard.conftest import LONDON, SITE, Bench
from tests.views.room import Room, busy_shift

Make = Callable[[Room], Bench]


def wander(room: Room, seed: int, steps: int = 60) -> None:
    """People call, are answered, refuse and hang up, in some order."""
    chance = random.Random(seed)
    for agent in ("4001", "4002", "4003"):
        room.sign_in(agent)
    for _ in range(steps):
        room.wait(chance.choice((0.3, 2.0, 7.0, 15.0)))
        calls = list(room.engine.state.calls)
        match chance.randrange(6):
            case 0 | 1:
                room.arrive(line=chance.choice(("main", "main", "emergency")))
            case 2 | 3 if calls:
                call = chance.choice(calls)
                room.ring(call)
                room.answer(call)
            case 4 if calls:
                room.refuse(chance.choice(calls))
            case 5 if calls:
                room.hang_up(chance.choice(calls))


def level(live: Live) -> dict[str, Any]:
    """The picture once all is read."""
    for _ in range(100):
        if not live.look() and live.is_level:
            break
    return picture(live, calls=True)


@pytest.mark.parametrize("seed", range(4))
def test_the_day_counted_as_it_goes_is_the_day_counted_at_once(bench: Make, seed: int) -> None:
    """Whatever happened, and wherever the fold began, both give the figures of `edge status`."""
    room = Room()
    at = bench(room)
    followed = at.live()
    wander(room, seed)
    at.checkpoint()
    level(followed)
    wander(room, seed + 100, 20)
    at.commit()
    fresh = at.live()
    shown = level(followed)
    assert shown["numbers"] == level(fresh)["numbers"]
    assert followed.state == replay(room.entries) == fresh.state
    records = list(fold_calls(room.entries).values())
    for queue in view_queues(replay(room.entries), records, SITE.targets, SITE.emergency):
        [row] = [row for row in shown["numbers"]["service"] if row["queue"] == queue.queue]
        today = queue.today
        assert row["tier"] == ("999" if queue.tier == 0 else "101")
        assert row["today"] == {
            "share": today.service_level,
            "offered": today.offered,
            "answered": today.answered,
            "abandoned": today.abandoned,
            "sent_away": today.refused + today.turned_away + today.overflowed,
            "mean_seconds": pytest.approx(today.waits.mean_seconds),
            "longest_seconds": today.waits.longest_seconds,
        }


def test_a_tally_is_the_sum_of_its_parts() -> None:
    """Counted in two parts and added, or at once."""
    room, _ = busy_shift()
    records = list(fold_calls(room.entries).values())
    whole, left, right = Tally(), Tally(), Tally()
    for index, record in enumerate(records):
        whole.add(record, 10.0)
        (left if index % 2 else right).add(record, 10.0)
    assert left + right == whole
    assert whole.offered == summarise(records, 10.0).offered == len(records)


@pytest.mark.parametrize("came_unseen", [True, False])
@pytest.mark.parametrize("outcome", [CallOutcome.ANSWERED, CallOutcome.ABANDONED])
@pytest.mark.parametrize("looks_between", [True, False])
def test_what_is_told_after_a_gap_is_in_the_day(
    bench: Make, came_unseen: bool, outcome: CallOutcome, looks_between: bool
) -> None:
    """A caller whom the switch's own queue had unseen, and one of ours whose end was not seen: the figures of the shift."""
    room = Room()
    at = bench(room)
    shown = at.live()
    level(shown)
    joined = room.now.utc_us + 1_000_000
    call_id = "20261122T120000Z-unseen"
    if not came_unseen:
        call_id, joined = room.arrive(), room.now.utc_us
    room.wait(0.5)
    room.give(inputs.LinkLost(link="ari", error="reset"))
    room.wait(60.0)
    room.give(inputs.Reconciled(switch_utc_us=room.now.utc_us))
    if looks_between:
        at.commit()
        assert level(shown)["numbers"] is not None
    is_served = outcome is CallOutcome.ANSWERED
    traced = inputs.TracedCall(
        call_id=call_id,
        leg_id="leg",
        line="main",
        caller_number=None,
        number_withheld=True,
        joined_utc_us=joined,
        arrived_utc_us=joined,
        answered_utc_us=joined,
        fallback_utc_us=joined + 700_000,
        connected_utc_us=joined + 5_000_000 if is_served else None,
        ended_utc_us=joined + 30_000_000,
        latest_utc_us=joined + 30_000_000,
        side=Side.CALLER,
        source="CEL",
    )
    for gap in (*room.engine.state.untraced,):
        room.give(inputs.TraceRead(gap=gap, calls=(traced,), complete=True))
    at.commit()
    told = fold_calls(room.entries)
    assert (told[call_id].outcome, told[call_id].traced_by) == (outcome, "CEL")
    summary = summarise(told.values(), SITE.targets["general"])
    service = level(shown)["numbers"]["service"]
    [row] = [row for row in service if row["queue"] == "general"]
    assert row["today"] == {
        "share": summary.service_level,
        "offered": 1,
        "answered": summary.answered,
        "abandoned": summary.abandoned,
        "sent_away": 0,
        "mean_seconds": summary.waits.mean_seconds,
        "longest_seconds": summary.waits.longest_seconds,
    }
    assert (row["now"]["share"], row["now"]["of"]) == (summary.service_level, 1)
    assert summary.service_level == float(is_served)
    assert service == level(at.live())["numbers"]["service"]
    assert not shown.day.calls_kept


def test_ten_seconds_is_not_under_ten_and_who_waits_too_long_already_counts(bench: Make) -> None:
    """Exact at the boundary; "now" is spoilt by a caller who is still waiting, "today" not before it has ended."""
    room = Room()
    at = bench(room)
    room.sign_in("4001")
    first = room.arrive()
    room.ring(first)
    room.wait(10.0)
    room.answer(first)
    at.commit()
    shown = at.live()
    [_, row] = level(shown)["numbers"]["service"]
    assert (row["now"]["share"], row["now"]["of"], row["today"]["share"]) == (0.0, 1, 0.0)
    room.arrive()
    room.wait(9.9)
    at.commit()
    assert level(shown)["numbers"]["service"][1]["now"]["of"] == 1
    room.wait(0.1)
    assert level(shown)["numbers"]["service"][1]["now"]["of"] == 2
    assert level(shown)["numbers"]["service"][1]["today"]["offered"] == 2


def test_now_is_the_last_half_hour(bench: Make) -> None:
    """A result is forgotten after thirty minutes, today's figure keeps it."""
    room, _ = busy_shift()
    at = bench(room)
    shown = at.live()
    before = level(shown)["numbers"]["service"][0]["now"]
    assert before["of"] == 1
    room.wait(1801)
    at.commit()
    after = level(shown)["numbers"]["service"][0]
    assert (after["now"]["of"], after["today"]["answered"]) == (0, 1)


@pytest.mark.parametrize(
    ("utc", "midnight"),
    [
        ("2026-03-29T12:00:00", "2026-03-29T00:00:00"),  # 23 hours
        ("2026-10-25T23:30:00", "2026-10-24T23:00:00"),  # 25 hours
        ("2026-10-26T00:10:00", "2026-10-26T00:00:00"),
        ("2026-07-01T23:30:00", "2026-07-01T23:00:00"),
    ],
)
def test_a_day_begins_at_local_midnight(utc: str, midnight: str) -> None:
    """Also where the clocks change."""
    at, begins = (
        int(datetime.fromisoformat(t).replace(tzinfo=UTC).timestamp() * 1e6) for t in (utc, midnight)
    )
    assert midnight_utc_us(Instant(0, at), LONDON) == begins


def test_midnight_begins_the_figures_anew(bench: Make) -> None:
    """Calls of yesterday are in none of today's figures, the open ones neither; what waits is still shown."""
    room, _ = busy_shift()
    at = bench(room)
    shown = at.live()
    assert level(shown)["numbers"]["service"][1]["today"]["offered"] == 4
    room.wait(12 * 3600)
    at.commit()
    numbers = level(shown)["numbers"]
    assert [row["today"]["offered"] for row in numbers["service"]] == [0, 0]
    assert numbers == level(at.live())["numbers"]
    assert sum(row["waiting"] for row in numbers["waiting"]) == 2


def test_a_long_record_is_read_in_steps(bench: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """No look reads more than its share, and until all is read the figures are called stale."""
    monkeypatch.setattr(live_module, "FACTS_PER_LOOK", 7)
    room, _ = busy_shift()
    at = bench(room)
    shown = at.live()
    seen: list[int] = []
    while not seen or not shown.is_level:
        shown.look()
        seen.append(shown.state.sequence)
        stale = shown.staleness()
        assert (stale is None) == shown.is_level
    assert max(later - earlier for earlier, later in pairwise([0, *seen])) <= 7
    assert level(shown)["numbers"]["sequence"] == len(room.entries)


# ---------------------------------------------------------------------- stale


def stale(shown: Live) -> tuple[str, str | None]:
    """Why, and since when; no number may be there."""
    seen = level(shown)
    assert seen["numbers"] is None
    assert seen["health"]
    return seen["stale"]["why"], seen["stale"]["since"]


def test_a_dead_daemon_makes_everything_stale(bench: Make) -> None:
    """Since it was last seen alive; and once it lives again the figures are back."""
    room, _ = busy_shift()
    at = bench(room)
    shown = at.live()
    assert level(shown)["stale"] is None
    alive = picture(shown)["at"]
    at.daemon = Daemon.DEAD
    room.wait(3)
    why, since = stale(shown)
    assert "not running" in why
    assert since == alive
    at.daemon = Daemon.STOPPED
    assert "lives and does nothing" in stale(shown)[0]
    at.daemon = Daemon.RUNNING
    assert level(shown)["stale"] is None


def test_a_daemon_that_was_never_seen_alive_is_stale_since_its_last_fact(bench: Make) -> None:
    """All that is known then."""
    room, _ = busy_shift()
    at = bench(room)
    at.daemon = Daemon.DEAD
    assert stale(at.live())[1] == "2026-11-22T12:00:47.200Z"


def test_a_lost_switch_makes_everything_stale(bench: Make) -> None:
    """Since it was lost."""
    room, _ = busy_shift()
    at = bench(room)
    shown = at.live()
    level(shown)
    lost = picture(shown)["at"]
    room.give(inputs.LinkLost(link="ari", error="gone"))
    room.wait(4)
    at.commit()
    assert stale(shown) == ("the daemon does not see the switch", lost)


def test_a_record_that_stands_still_is_stale(bench: Make) -> None:
    """The daemon decides and cannot write: a phone rings for ever, as far as the ledger says."""
    room = Room()
    at = bench(room)
    room.sign_in("4001")
    call = room.arrive()
    room.ring(call)
    at.commit()
    shown = at.live()
    offer = next(iter(room.engine.state.offers.values()))
    room.wait(offer.ring_seconds + OVERDUE_SECONDS - 1)
    assert level(shown)["stale"] is None
    room.wait(1.1)
    why, since = stale(shown)
    assert why.startswith("the record stands still: the offer to agent 4001")
    assert since == "2026-11-22T12:00:00.000Z"
    at.boot = "another"  # a copy on another machine: its clock says nothing of ours
    assert level(shown)["stale"] is None
    at.boot = "boot"
    at.commit()
    assert level(shown)["stale"] is None


def test_trouble_with_the_ledger_is_stale(bench: Make) -> None:
    """The daemon said so, and has not said that it is over; then it is an alarm, with how long it lasted."""
    room, _ = busy_shift()
    at = bench(room)
    room.give(inputs.LedgerTrouble(ok=False, detail="the disk is full"))
    at.commit()
    assert stale(at.live())[0] == "the daemon cannot write the record"
    room.wait(40)
    room.give(inputs.LedgerTrouble(ok=True, detail="all facts made meanwhile were kept"))
    at.commit()
    shown = at.live()
    assert level(shown)["stale"] is None
    alarm = level(shown)["numbers"]["alarms"][0]
    assert (alarm["kind"], alarm["detail"][:36]) == ("ledger", "for 40.0 s until now: the disk is fu")


def test_a_daemon_that_says_it_cannot_write_is_believed(bench: Make) -> None:
    """By its own listener, as the ledger cannot have it: stale since it last said otherwise."""
    room, _ = busy_shift()
    at = bench(room)
    shown = at.live()
    level(shown)
    well = picture(shown)["at"]
    at.said = "the daemon cannot write the record"
    room.wait(2)
    assert stale(shown) == (at.said, well)
    at.said = None
    assert level(shown)["stale"] is None


def test_a_record_that_cannot_be_read_is_stale_and_names_no_file(
    bench: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Before there is a ledger, and when it is taken away while we look."""
    room, _ = busy_shift()
    at = bench(room)
    missing = replace(at, url=at.url.replace("ledger0", "none"))
    why, since = stale(missing.live())
    assert (why, since) == ("the record cannot be read", None)
    shown = at.live()
    level(shown)
    at.url = missing.url
    shown.close()
    room.wait(1.0)
    shown.look()
    assert shown.staleness() is None
    room.wait(1.0)
    why, since = stale(shown)
    assert (why, since) == ("the record cannot be read", "2026-11-22T12:00:59.200Z")


def test_another_ledger_in_its_place_is_read_from_the_beginning(bench: Make) -> None:
    """Restored from a copy, say: nothing of the old one is shown."""
    room, _ = busy_shift()
    at, other = bench(room), bench(Room())
    shown = at.live()
    level(shown)
    at.url = other.url
    shown.close()
    assert level(shown)["numbers"]["sequence"] == len(other.room.entries)
    assert level(shown)["numbers"]["calls"] == []


# ---------------------------------------------------------------------- what is shown


def test_what_is_shown(bench: Make) -> None:
    """Waiting by class with the oldest, agents by state; calls and people only for who may see them."""
    room, ids = busy_shift()
    at = bench(room)
    shown = at.live()
    numbers = level(shown)["numbers"]
    assert [(row["class"], row["waiting"], row["oldest_seconds"]) for row in numbers["waiting"]] == [
        ("999", 0, None),
        ("standard", 2, 12.0),
    ]
    agents = {row["state"]: row["count"] for row in numbers["agents"]}
    assert agents == {"ready": 0, "offered": 0, "talking": 1, "wrap-up": 0, "not ready": 0, "signed out": 1}
    assert {call["call_id"] for call in numbers["calls"]} == {ids["talking"], ids["fallback"], ids["waiting"]}
    assert [one["name"] for one in numbers["people"]] == ["Ann"]
    plain = picture(shown)
    assert without_calls(picture(shown, calls=True)) == plain
    assert {"calls", "people"} & plain["numbers"].keys() == set()
    assert "+4416" not in str(picture(shown, calls=True))
    assert "Alex Example" not in str(picture(shown, calls=True))


def test_ages_are_by_the_clock_that_nobody_sets(bench: Make) -> None:
    """A step of UTC changes no age while the monotonic clock is the daemon's."""
    room, _ = busy_shift()
    at = bench(room)
    shown = at.live()
    level(shown)
    room.now = Instant(room.now.monotonic_ns, room.now.utc_us + 3_600_000_000)
    assert picture(shown)["numbers"]["waiting"][1]["oldest_seconds"] == 12.0
    at.boot = "another"
    assert picture(shown)["numbers"]["waiting"][1]["oldest_seconds"] == 3612.0


def test_health_says_what_is_wrong(bench: Make) -> None:
    """Each with a word of its own, and not known where it is not."""
    room, _ = busy_shift()
    at = bench(room)
    at.disk = Disk(1 << 20, 100 << 30)
    at.pulled_utc_us = room.now.utc_us - 60_000_000
    shown = at.live()

    def ok() -> dict[str, bool | None]:
        return {item["name"]: item["ok"] for item in level(shown)["health"]}

    well = {"Daemon": True, "Switch link": True, "Clock": True, "Record": True}
    assert ok() == {**well, "Disk": False, "Last check": None, "Last MI pull": True}
    at.disk, at.pulled_utc_us, at.daemon = None, None, Daemon.DEAD
    dead = {"Daemon": False, "Switch link": False, "Clock": None, "Record": None}
    assert ok() == {**dead, "Disk": None, "Last check": None, "Last MI pull": None}


def test_the_last_check_of_the_equipment(bench: Make) -> None:
    """The gravest of the last round with its age; an old one is no news, and no news is not good news."""
    room, _ = busy_shift()
    at = bench(room)
    shown = at.live()

    def checked(probe: str, verdict: CheckVerdict, figure: str = "") -> None:
        fact = facts.EquipmentChecked(probe=probe, verdict=verdict, figure=figure, by="hwtest")
        last = room.entries[-1]
        room.entries.append(replace(last, sequence=last.sequence + 1, fact=fact, at=room.now))
        at.ledger.append(room.entries[-1:])

    def item() -> dict[str, Any]:
        return next(item for item in level(shown)["health"] if item["name"] == "Last check")

    assert (item()["ok"], item()["text"], item()["since"]) == (None, "never", None)
    checked("call.one", CheckVerdict.FAIL, "not rung")
    assert (item()["ok"], item()["text"]) == (False, "call.one fail: not rung")
    room.now = room.now.plus(300)
    checked("sip.options", CheckVerdict.PASS)
    checked("call.one", CheckVerdict.PASS)
    assert (item()["ok"], item()["text"]) == (True, "2 pass")
    assert item()["since"] is not None
    checked("call.heartbeat", CheckVerdict.NOT_MEASURED, "no phone")
    assert (item()["ok"], item()["text"]) == (None, "call.heartbeat not measured: no phone")
    room.now = room.now.plus(1801)
    assert (item()["ok"], item()["text"].endswith(", LATE")) == (None, True)


def test_alarms_of_the_last_hour(bench: Make) -> None:
    """The newest first, and each for an hour."""
    room, _ = busy_shift()
    at = bench(room)
    shown = at.live()
    level(shown)
    alarm = facts.AlarmRaised(kind="999 unanswered", detail="nobody", call_id=None)
    at.ledger.append([replace(room.entries[-1], sequence=len(room.entries) + 1, fact=alarm, at=room.now)])
    assert [row["kind"] for row in level(shown)["numbers"]["alarms"]] == ["999 unanswered"]
    room.now = room.now.plus(3601)
    assert level(shown)["numbers"]["alarms"] == []
