"""The order under priority, read off a wire made by hand: port 1 is the switch, 2 a caller's, 3 and 4 agents' phones."""

from dataclasses import replace

import pytest

from edge.core.facts import Entry
from hwtest.bench.order import NAME, Known, Plan, beside, errors, figure, read
from hwtest.capture import Record
from hwtest.policing import Kind
from tests.bench.test_facts import arrived, offered
from tests.bench.test_readings import AGENTS, CALLERS, message

URGENT = Kind(line="999", emergency=True, priority_class="standard", head_start_seconds=0)
PLAIN = Kind(line="101", emergency=False, priority_class="standard", head_start_seconds=0)
AHEAD = Kind(line="soon", emergency=False, priority_class="soon", head_start_seconds=1.5)
WHO = {"700900001": "a", "700900002": "b", "700900003": "c"}
NUMBERS = {name: number for number, name in WHO.items()}
PLAN = Plan(calls=2, least=2)


def calls(at: float, who: str) -> Record:
    """Somebody calls, milliseconds after the beginning."""
    return message(at, 2, 1, "INVITE", f"call-{who}", from_user=f"0{NUMBERS[who]}")


def rings(at: float, who: str, leg: str = "", phone: int = 3) -> Record:
    """An agent's phone is rung for somebody."""
    return message(at, 1, phone, "INVITE", f"leg-{leg or who}", from_user=f"+44{NUMBERS[who]}")


def wrong(wire: list[Record], **kinds: Kind) -> list[tuple[str, str]]:
    """Who came too early, and before whom."""
    found = errors(read(wire, {NUMBERS[who]: kind for who, kind in kinds.items()}, CALLERS, AGENTS))
    return [(WHO[each.early.who.who], WHO[each.passed.who.who]) for each in found]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (PLAIN, PLAIN, [("b", "a")]),
        (PLAIN, URGENT, []),
        (URGENT, AHEAD, [("b", "a")]),
        (PLAIN, AHEAD, []),
        (AHEAD, AHEAD, [("b", "a")]),
    ],
)
def test_the_second_is_served_first(first: Kind, second: Kind, expected: list[tuple[str, str]]) -> None:
    """Two who called a second apart, and the later is rung for first: right only by tier or by a head start."""
    wire = [calls(0, "a"), calls(1000, "b"), rings(2000, "b"), rings(3000, "a")]
    assert wrong(wire, a=first, b=second) == expected


@pytest.mark.parametrize(("apart", "expected"), [(1400, []), (1600, [("b", "a")])])
def test_a_head_start_has_its_length(apart: float, expected: list[tuple[str, str]]) -> None:
    """A second and a half overtakes who came 1.4 s before, and not who came 1.6 s before."""
    wire = [calls(0, "a"), calls(apart, "b"), rings(2000, "b"), rings(3000, "a")]
    assert wrong(wire, a=PLAIN, b=AHEAD) == expected


def test_a_999_that_comes_while_the_phone_rings() -> None:
    """Is no error: nobody knew of it when the INVITE was sent; and within 50 ms nobody can say."""
    assert wrong([calls(0, "a"), rings(100, "a"), calls(200, "b"), rings(300, "b")], a=PLAIN, b=URGENT) == []
    assert wrong([calls(0, "a"), calls(80, "b"), rings(100, "a"), rings(300, "b")], a=PLAIN, b=URGENT) == []


def test_who_is_rung_for_does_not_wait_until_the_ring_is_taken_back() -> None:
    """While a phone rings for one, the next may be rung for at another; after CANCEL the first comes before them again."""
    wire = [
        calls(0, "a"),
        calls(100, "b"),
        calls(200, "c"),
        rings(1000, "a"),
        rings(1200, "b", phone=4),
        message(1400, 1, 3, "CANCEL", "leg-a"),
    ]
    again = [rings(1600, "a", "a2"), rings(1800, "c")]
    assert wrong([*wire, *again], a=PLAIN, b=PLAIN, c=PLAIN) == []
    passed = [rings(1600, "c"), rings(1800, "a", "a2")]
    assert wrong([*wire, *passed], a=PLAIN, b=PLAIN, c=PLAIN) == [("c", "a")]


def test_who_has_hung_up_is_passed_by_nobody() -> None:
    """A caller's CANCEL or BYE ends the waiting."""
    wire = [calls(0, "a"), calls(1000, "b"), message(1500, 2, 1, "BYE", "call-a"), rings(2000, "b")]
    assert wrong(wire, a=PLAIN, b=PLAIN) == []


def test_the_row() -> None:
    """It counts rings, says who and since when, and is not measured when somebody was never rung for."""
    kinds = {NUMBERS["a"]: PLAIN, NUMBERS["b"]: URGENT}
    wire = [calls(0, "a"), calls(1000, "b"), rings(2000, "a"), rings(3000, "b")]
    made = figure(PLAN, read(wire, kinds, CALLERS, AGENTS), 5, None)
    assert (made.name, made.value, made.unit, made.met, made.small) == (NAME, 1, "of 2", False, False)
    assert "no. 1 (101 standard) was rung for before no. 2 (999), who had called 1.000 s before" in made.notes
    good = figure(PLAN, read(wire[:1] + wire[2:3], kinds, CALLERS, AGENTS), 5, None)
    assert (good.met, good.small) == (True, True)
    for less in (wire[:3], []):
        assert not figure(PLAN, read(less, kinds, CALLERS, AGENTS), 5, None).measured


def test_what_app_queue_does_is_told_and_not_judged() -> None:
    """Its row counts who came before whom, and has no target to meet or miss."""
    kinds = {NUMBERS["a"]: PLAIN, NUMBERS["b"]: AHEAD, NUMBERS["c"]: URGENT}
    wire = [calls(0, "a"), calls(1000, "b"), rings(2000, "a"), rings(3000, "b"), calls(3100, "c")]
    made = beside(read(wire, kinds, CALLERS, AGENTS), "1 retransmissions")
    assert (made.value, made.unit, made.target, made.met) == (1, "of 2", "", None)
    assert made.notes == [
        "plain_queue: 1 times 101 standard before 101 soon; 3 callers, 1 of them never rung for",
        "plain_queue: the block has 1 retransmissions",
    ]


def record(*entries: Entry) -> Known:
    """A ledger in which these stand in this order."""
    return Known(replace(entry, sequence=sequence) for sequence, entry in enumerate(entries, 1))


def of(who: str, milliseconds: float) -> Entry:
    """Their arrival in the record."""
    return arrived(milliseconds, who, f"+44{NUMBERS[who]}")


def test_what_nobody_could_know_is_told_apart() -> None:
    """A 101 is rung for 200 ms after a 999 called: an error where the 999 had arrived before that was decided on, a note where it
    came after, and an error where it is in no record at all."""
    wire = [calls(0, "a"), calls(1000, "b"), rings(1200, "a"), rings(1500, "b")]
    waits = read(wire, {NUMBERS["a"]: PLAIN, NUMBERS["b"]: URGENT}, CALLERS, AGENTS)
    offer, too_late = offered(1100, "a.1", "a"), offered(1300, "a.2", "a")
    knew = figure(PLAN, waits, 5, None, record(of("a", 5), of("b", 1005), offer))
    assert (knew.value, knew.met) == (1, False)
    unforeseen = figure(PLAN, waits, 5, None, record(of("a", 5), offer, of("b", 1190), too_late))
    assert (unforeseen.value, unforeseen.met) == (0, True)
    assert any(note.startswith("1 rings more") and "190 ms" in note for note in unforeseen.notes)
    never = figure(PLAN, waits, 5, None, record(of("a", 5), offer))
    assert (never.value, never.met) == (1, False)


def test_one_who_was_known_is_no_less_passed_for_another_who_was_not() -> None:
    """Of two who come first, the record had one: that one is named."""
    wire = [
        calls(0, "a"),
        calls(1000, "b"),
        calls(1010, "c"),
        rings(1200, "a"),
        rings(1500, "b"),
        rings(1600, "c"),
    ]
    kinds = {NUMBERS["a"]: PLAIN, NUMBERS["b"]: URGENT, NUMBERS["c"]: URGENT}
    known = record(of("a", 5), of("c", 1015), offered(1100, "a.1", "a"), of("b", 1190))
    [fault] = errors(read(wire, kinds, CALLERS, AGENTS), known)
    assert (WHO[fault.passed.who.who], fault.known) == ("c", True)
