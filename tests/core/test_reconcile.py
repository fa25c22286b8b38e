"""The link is lost and comes back, the daemon dies and returns: the switch says what is, the ledger what was meant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.core import facts, inputs
from edge.core.engine import Engine
from edge.core.inputs import SeenCall, Standing
from edge.core.model import Instant
from edge.core.state import replay
from tests.core.room import NOON, Room, arrival, play

BEFORE = {
    "waiting": "ann not ready\nc1 calls 101 -> serve c1",
    "offered": "c1 calls 101 -> serve c1, ring ann for c1\nann rings",
    "connecting": "c1 calls 101 -> serve c1, ring ann for c1\nann answers -> connect c1.1",
    "talking": "c1 calls 101 -> serve c1, ring ann for c1\nann answers -> connect c1.1\nc1 joined",
    "fallback": "ann not ready\nc1 calls 101 -> serve c1\nc1 in-fallback",
}

STANDINGS = [
    # what we held    what the switch shows            what we do                                    what is then true
    ("waiting", "seen c1:held", "serve c1, ring ann for c1", "c1 offered; ann offered"),
    ("waiting", "seen c1:connected", "", "c1 fallback; ann ready"),
    ("waiting", "seen c1:fallback", "", "c1 fallback; ann ready"),
    ("waiting", "seen", "", "c1 ended_unknown queue; ann ready"),
    ("offered", "seen c1:held c1.1", "hang up c1.1, serve c1", "c1 waiting; ann offered"),
    ("offered", "seen c1:held", "serve c1, ring ann for c1", "c1 offered; ann offered"),
    ("offered", "seen c1:connected:c1.1 c1.1+", "", "c1 talking; ann talking"),
    ("offered", "seen c1:fallback c1.1", "hang up c1.1", "c1 fallback; ann offered"),
    ("offered", "seen c1.1", "withdraw c1.1, hang up c1.1", "c1 ended_unknown ringing; ann offered"),
    ("offered", "seen", "withdraw c1.1", "c1 ended_unknown ringing; ann ready"),
    ("connecting", "seen c1:held c1.1+", "hang up c1.1, serve c1", "c1 waiting; ann offered"),
    ("connecting", "seen c1:held", "serve c1, ring ann for c1", "c1 offered; ann offered"),
    ("connecting", "seen c1:connected:c1.1 c1.1+", "", "c1 talking; ann talking"),
    ("connecting", "seen c1:connected", "inspect c1", "c1 connecting; ann ready"),
    ("connecting", "seen c1:fallback c1.1+", "hang up c1.1", "c1 fallback; ann offered"),
    ("connecting", "seen", "", "c1 ended_unknown connecting; ann ready"),
    ("talking", "seen c1:held c1.1+", "hang up c1.1, serve c1", "c1 waiting; ann offered"),
    ("talking", "seen c1:connected:c1.1 c1.1+", "", "c1 talking; ann talking"),
    ("talking", "seen c1:connected", "", "c1 talking; ann wrap-up"),
    ("talking", "seen c1:fallback", "", "c1 fallback; ann wrap-up"),
    ("talking", "seen c1.1+", "hang up c1.1", "c1 ended_unknown talking; ann wrap-up"),
    ("talking", "seen", "", "c1 ended_unknown talking; ann wrap-up"),
    ("fallback", "seen c1:held", "serve c1, ring ann for c1", "c1 offered; ann offered"),
    ("fallback", "seen c1:connected", "", "c1 fallback; ann ready"),
    ("fallback", "seen c1:fallback", "", "c1 fallback; ann ready"),
    ("fallback", "seen", "", "c1 ended_unknown fallback; ann ready"),
]


@pytest.mark.parametrize("again", ["link lost", "killed and restarted"])
@pytest.mark.parametrize(("held", "seen", "asked", "then"), STANDINGS)
def test_every_state_meets_every_standing(again: str, held: str, seen: str, asked: str, then: str) -> None:
    """What the ledger held and what the switch shows are brought together, after a link loss as after a crash."""
    room = Room("ann 101")
    play(room, BEFORE[held])
    room.wait(6)
    answer = f"{seen} -> {asked}" if asked else seen
    play(room, f"{again}\nwait 3\n{answer}\n= {then}")


def test_nothing_is_offered_while_the_switch_is_not_seen() -> None:
    """Without sight callers keep their places and nobody is rung."""
    play(
        Room("ann 101"),
        """
        link lost
        c1 calls 101 -> serve c1
        wait 60
        = c1 waiting; ann ready
        seen c1:held -> serve c1, ring ann for c1
        """,
    )


def test_a_wrap_up_ends_without_sight() -> None:
    """Wrap-up is the engine's own and needs no switch."""
    play(
        Room("ann 101"),
        f"""{BEFORE["talking"]}
        c1 hangs up
        link lost
        wait 30
        = ann ready""",
    )


def test_a_withdrawn_leg_that_outlives_a_link_loss_still_frees_its_agent() -> None:
    """The deadline that passed unseen is given again after the switch was looked at."""
    play(
        Room("ann 101"),
        f"""{BEFORE["offered"]}
        c1 hangs up -> withdraw c1.1
        link lost
        wait 10
        seen c1.1 -> hang up c1.1
        wait 5 -> hang up c1.1
        = ann ready""",
    )


def test_a_conversation_the_ledger_knows_nothing_of_is_left_alone_and_recorded() -> None:
    """The facts of the last moments were lost with the disk: the call is adopted, its leg is not hung up."""
    room = Room("ann 101")
    play(room, "link lost\nseen c9:connected:c9.1 c9.1+\n= c9 fallback\nc9 hangs up\n= c9 answered talking")


def test_strangers_found_waiting_are_adopted_in_the_order_they_joined() -> None:
    """Whoever waited longer by the switch's stamps is served first, without a second greeting."""
    room = Room("ann 101", seen=False)
    seen = [
        SeenCall(
            call_id=name, leg_id=name, line="greeted", standing=Standing.HELD, joined_utc_us=NOON.utc_us - ago
        )
        for name, ago in (("c1", 20_000_000), ("c2", 60_000_000))
    ]
    room.look(tuple(seen))
    assert room.state_of("c2") == "offered"
    assert [fact.queued_at for fact in room.recorded(facts.CallQueued)] == [NOON.plus(-20), NOON.plus(-60)]
    assert room.recorded(facts.AnnouncementStarted) == []


def test_agents_who_signed_out_unseen_are_signed_out() -> None:
    """Whatever the snapshot does not show does not exist."""
    room = Room("ann 101")
    room.tell(inputs.Reconciled())
    assert room.state_of("ann") == "signed out"


def test_a_line_removed_from_the_configuration_sends_its_callers_to_the_fallback() -> None:
    """A caller whose line is gone is neither matched nor forgotten."""
    room = Room("ann 101")
    play(room, BEFORE["waiting"])
    lines = {name: line for name, line in room.policy.lines.items() if name != "101"}
    room.restart(lines=lines)
    play(room, "seen c1:held -> fallback for c1\n= c1 waiting; ann ready\nc1 in-fallback\n= c1 fallback")


def test_a_call_that_ended_unseen_after_a_crash_may_have_ended_since_the_last_fact() -> None:
    """A killed daemon saw nothing after its last fact, so that is where the uncertainty begins, not at the restart."""
    room = Room("ann 101")
    play(room, BEFORE["talking"])
    last_seen = room.now
    room.wait(40)
    room.restart()
    room.wait(5)
    room.look()
    (ended,) = room.recorded(facts.CallEnded)
    assert ended.unseen_since == last_seen


def test_losing_a_second_link_does_not_shorten_the_blindness() -> None:
    """`unseen_since` is the loss of the first link, also when the daemon restarts before the switch is seen again."""
    room = Room("ann 101")
    play(room, BEFORE["waiting"])
    lost_at = room.now
    play(room, "link lost\nwait 10\nann phone busy\nlink lost\nkilled\nwait 1\nseen")
    (ended,) = room.recorded(facts.CallEnded)
    assert ended.unseen_since == lost_at


def test_after_a_reboot_the_monotonic_clock_counts_anew_and_places_are_kept() -> None:
    """Every remembered instant moves to the new boot's clock by UTC, and replay of both boots agrees with it."""
    room = Room("ann 101")
    play(room, BEFORE["talking"])
    play(room, "c2 calls 101 -> serve c2\nc1 hangs up")
    room.now = Instant(5_000_000_000, room.now.utc_us + 10_000_000)
    room.engine = Engine(room.policy, replay(room.entries))
    room.tell(inputs.Started(version="1", policy_digest="", boot_id="boot-2"))
    play(room, "seen c2:held -> serve c2\n= ann wrap-up")
    assert room.now.since(room.engine.state.calls["c2"].queued_at) == 10.0
    play(room, "wait 19.9\n= ann wrap-up\nwait 0.1 -> ring ann for c2")
    assert replay(room.entries) == room.engine.state


def test_a_late_word_about_an_earlier_hand_over_does_no_harm() -> None:
    """Joined and returned name the offer they speak of."""
    room = Room("ann 101")
    play(room, f"{BEFORE['connecting']}\nc1 returned -> hang up c1.1, serve c1\nc1.1 ends -> ring ann for c1")
    play(room, "ann answers -> connect c1.2")
    room.tell(inputs.PairJoined(call_id="c1", offer_id="c1.1"))
    assert room.state_of("c1") == "connecting"
    play(room, "c1 joined\n= c1 talking")
    room.tell(inputs.PairReturned(call_id="c1", offer_id="c1.1"))
    assert room.state_of("c1") == "talking"


def test_the_switch_stamp_gives_the_place() -> None:
    """A caller joined when the switch says, however the words about them overtake each other; absurd stamps are now."""
    room = Room()
    joined = {}
    for name, seconds_ago in (("new", 0.005), ("older", 0.5), ("absurd", 100_000.0), ("future", -5.0)):
        stamp = NOON.utc_us - round(seconds_ago * 1e6)
        room.tell(replace(arrival(name), joined_utc_us=stamp))
        joined[name] = room.now.since(room.engine.state.calls[name].queued_at)
    assert joined == {"new": 0.005, "older": 0.5, "absurd": 0.0, "future": 0.0}
    assert room.engine.position("older") == 1


HOUR_US = 3_600_000_000


@pytest.mark.parametrize("ahead_us", [-HOUR_US, -2_000_000, 0, 31_000_000, HOUR_US, 900 * 24 * HOUR_US])
def test_how_long_ago_a_caller_joined_is_told_by_one_clock(ahead_us: int) -> None:
    """Ours may be set to another time than the switch's: 2 s after joining the caller has waited for 2 s, on arrival, in the
    switch's own queue and when found there."""
    switch_now = NOON.utc_us - ahead_us
    joined = switch_now - 2_000_000
    given = (
        replace(arrival("c1"), switch_utc_us=switch_now, joined_utc_us=joined),
        inputs.FallbackTook(
            call_id="c2", line="101", leg_id="c2", why="test", switch_utc_us=switch_now, joined_utc_us=joined
        ),
        inputs.Reconciled(
            calls=(
                SeenCall(call_id="c3", leg_id="c3", line="101", standing=Standing.HELD, joined_utc_us=joined),
                SeenCall(
                    call_id="c4", leg_id="c4", line="101", standing=Standing.FALLBACK, joined_utc_us=joined
                ),
            ),
            switch_utc_us=switch_now,
        ),
    )
    for each in given:
        room = Room()
        room.tell(each)
        assert {room.now.since(call.queued_at) for call in room.engine.state.calls.values()} == {2.0}


def test_a_word_that_comes_late_is_not_taken_for_another_clock() -> None:
    """The daemon stood still for 12 s: so much longer the caller has waited."""
    room = Room()
    stamp = NOON.utc_us - 12_000_000
    room.tell(replace(arrival("c1"), switch_utc_us=stamp, joined_utc_us=stamp - 1_000))
    assert room.now.since(room.engine.state.calls["c1"].queued_at) == 12.001
