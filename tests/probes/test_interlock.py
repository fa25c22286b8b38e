"""The interlock: no spelling of an emergency number passes, no line that is not a test line is called, live load is spared."""

from __future__ import annotations

import ast
import asyncio
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import hwtest
from edge.errors import RefusedError
from hwtest.interlock import EMERGENCY, MINUTE, PREFIXES, Interlock, InterlockError, digits_of, is_emergency
from hwtest.lab.contract import Address, Lab
from hwtest.probes.contract import Level
from hwtest.probes.registry import all_probes
from hwtest.site import Site
from hwtest.target import Calls, Kind, Line, Target

LIVE = Target(
    name="an appliance",
    kind=Kind.LIVE,
    source=Path("appliance.toml"),
    sip=Address(host="127.0.0.1", port=5060),
    caller="07700900123",
    lines={"test": Line(number="5990"), "heartbeat": Line(number="9990", looks_like_emergency=True)},
)
LAB = replace(LIVE, name="a lab", kind=Kind.LAB, lab=cast("Lab", object()))
"""One that `hwtest lab up` has started."""
MARKS = st.text(alphabet=" -./()+", max_size=2)
ODD = st.text(alphabet="*#,;wWpP@%:\t\n\x00\u200b\u2011", max_size=2)
DIGITS = tuple(
    "".join(chr(zero + step) for step in range(10)) for zero in (0x30, 0x660, 0x966, 0xFF10, 0x1D7D8)
)
"""European, Arabic, Devanagari, full-width and double-struck digits: to Python each is a decimal."""


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        """This moment."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.seconds += seconds
        await asyncio.sleep(0)


def interlock(
    target: Target = LIVE, *, lab_allowed: bool = False, others: int | None = 0, clock: Clock | None = None
) -> Interlock:
    """One with so many other calls in progress."""

    async def count() -> int | None:
        return others

    clock = clock or Clock()
    return Interlock(target, lab_allowed=lab_allowed, others=count, now=clock.now, sleep=clock.sleep)


@st.composite
def spelled(draw: st.DrawFn) -> str:
    """An emergency number as somebody might write it: after prefixes, with marks, in digits of any script."""
    prefixes = draw(st.lists(st.sampled_from((*PREFIXES, "+44", "+")), max_size=3))
    script = draw(st.sampled_from(DIGITS))
    text = "".join(prefixes) + draw(st.sampled_from(EMERGENCY))
    pieces = [draw(MARKS) + (script[int(mark)] if mark.isdigit() else mark) + draw(ODD) for mark in text]
    scheme = draw(st.sampled_from(("", "", "sip:", "tel:")))
    return (
        scheme
        + "".join(pieces)
        + draw(MARKS)
        + draw(st.sampled_from(("", "", "@127.0.0.1", ";phone-context=+44")))
    )


@given(spelled())
@example("999")
@example("+44 999")
@example("9,999")
@example("%39%39%39")
@example("\uff19\uff19\uff19")
@example("112\r\n")
@example("18000#")
@example("18001 999")
def test_no_spelling_of_an_emergency_number_is_called(number: str) -> None:
    """Whatever prefixes and marks stand in it, a live target is not called there."""
    with pytest.raises(InterlockError):
        interlock().check(number)


@given(spelled())
def test_nor_when_the_profile_names_it_as_a_test_line(number: str) -> None:
    """The owner of a profile cannot allow what is an emergency number, even by stating that it only looks like one."""
    line = Line(number=number, looks_like_emergency=True)
    with pytest.raises(InterlockError):
        interlock(replace(LIVE, lines={"test": line})).check(number)


@given(st.text(max_size=12) | st.text(alphabet="0123456789", min_size=1, max_size=12))
def test_nothing_is_called_but_the_test_lines(number: str) -> None:
    """What passes is dialled as a test line's own digits, and as nothing else."""
    try:
        dialled = interlock().check(number)
    except InterlockError:
        return
    assert dialled.lstrip("+") in {"5990", "9990"}
    assert digits_of(number) == dialled.lstrip("+")


@pytest.mark.parametrize("number", ["5990", "59 90", " 5-990 ", "9990"])
def test_a_test_line_is_called(number: str) -> None:
    """However it is spaced; a heartbeat's line that looks like 999 too, when its owner has stated so."""
    assert interlock().check(number) == digits_of(number)


def test_a_line_that_begins_like_an_emergency_number_must_be_stated() -> None:
    """An exchange that takes digit after digit would connect 999 before the rest is dialled."""
    unstated = replace(LIVE, lines={"heartbeat": Line(number="9990")})
    with pytest.raises(InterlockError, match="looks_like_emergency"):
        interlock(unstated).check("9990")


@pytest.mark.parametrize("number", ["01632960999", "07700900112", "02079460911", "08001118000"])
def test_a_whole_number_that_ends_like_one_is_no_emergency_number(number: str) -> None:
    """Otherwise a tenth of all test numbers could not be used."""
    assert not is_emergency(number)


def test_a_message_does_not_show_the_number() -> None:
    """It may be a person's, and messages stand in reports."""
    with pytest.raises(InterlockError) as refused:
        interlock().check("07700900123")
    assert "077009001" not in str(refused.value)


def test_a_lab_elsewhere_gets_no_emergency_number() -> None:
    """From our own on loopback nobody is reached; one on another machine, or an appliance that we run on, may have a trunk."""
    assert interlock(LAB).check("999") == "999"
    lines = {number: Line(number=number) for number in ("101", "999")}
    elsewhere = replace(LAB, sip=Address(host="192.0.2.1", port=5060), lines=lines)
    appliance = replace(LAB, lab=None, lines=lines)
    for other in (elsewhere, appliance):
        assert interlock(other).check("101") == "101"
        assert interlock(other).check("*22") == "*22"
        for number in ("999", "0999", "01632960000", "*999", "*67 999", "*45*112", "18001999", "18002112"):
            with pytest.raises(InterlockError):
                interlock(other).check(number)


async def test_calls_are_few_in_a_minute() -> None:
    """Six; whatever the profile says, it is never more."""
    clock = Clock()
    placing = interlock(replace(LIVE, calls=Calls(per_minute=60)), clock=clock)
    told = list[float]()
    placing.on_wait = told.append
    for _ in range(6):
        async with placing.call("5990"):
            clock.seconds += 1
    assert clock.slept == []
    async with placing.call("5990"):
        pass
    assert told == clock.slept == [pytest.approx(MINUTE - 6)]


async def test_a_profile_may_ask_for_fewer() -> None:
    """One in a minute."""
    clock = Clock()
    placing = interlock(replace(LIVE, calls=Calls(per_minute=1)), clock=clock)
    for _ in range(3):
        async with placing.call("5990"):
            pass
    assert clock.seconds == pytest.approx(1000 + 2 * MINUTE)


async def test_what_runs_before_have_placed_counts() -> None:
    """Whoever asks again and again, as a watch does, has one minute for all."""
    clock, placed = Clock(), deque[float]()
    for _ in range(2):
        placing = Interlock(
            replace(LIVE, calls=Calls(per_minute=1)),
            lab_allowed=False,
            others=nobody,
            placed=placed,
            now=clock.now,
            sleep=clock.sleep,
        )
        async with placing.call("5990"):
            pass
    assert clock.slept == [pytest.approx(MINUTE)]


async def nobody() -> int:
    """Calls in progress."""
    return 0


async def test_one_call_at_a_time() -> None:
    """A second one waits until the first has ended."""
    placing = interlock()
    order = list[str]()
    first_is_up, may_end = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with placing.call("5990"):
            first_is_up.set()
            await may_end.wait()
            order.append("first ends")

    async def second() -> None:
        await first_is_up.wait()
        async with placing.call("5990"):
            order.append("second begins")

    async with asyncio.TaskGroup() as group:
        group.create_task(first())
        group.create_task(second())
        await first_is_up.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert order == []
        may_end.set()
    assert order == ["first ends", "second begins"]


async def test_it_stands_back_from_other_peoples_calls() -> None:
    """A live load: no call is placed, and the reason says how many there are."""
    clock = Clock()
    with pytest.raises(InterlockError, match="other calls in progress: 3"):
        async with interlock(others=3, clock=clock).call("5990"):
            pytest.fail("it was called")
    assert clock.seconds <= 1003, "it does not wait for a quiet moment longer than a call of ours may linger"


async def test_a_call_of_ours_that_lingers_is_waited_for() -> None:
    """The switch counts it a moment longer than it lasts."""
    counts = [2, 1, 0]

    async def count() -> int | None:
        return counts.pop(0)

    clock = Clock()
    placing = Interlock(LIVE, lab_allowed=False, others=count, now=clock.now, sleep=clock.sleep)
    async with placing.call("5990") as number:
        assert number == "5990"


async def test_a_profile_may_allow_other_calls() -> None:
    """A room that is never quiet."""
    busy = replace(LIVE, calls=Calls(other_calls_at_most=3))
    async with interlock(busy, others=3).call("5990"):
        pass
    with pytest.raises(InterlockError):
        async with interlock(busy, others=4).call("5990"):
            pytest.fail("it was called")


async def test_who_cannot_see_does_not_call() -> None:
    """Without a control interface nobody knows whom a call would disturb; a profile may take that upon itself."""
    with pytest.raises(InterlockError, match="nothing shows"):
        async with interlock(others=None).call("5990"):
            pytest.fail("it was called")
    async with interlock(replace(LIVE, calls=Calls(unseen=True)), others=None).call("5990"):
        pass


async def test_a_lab_is_not_spared() -> None:
    """No pace, no standing back: it is there to be loaded."""
    clock = Clock()
    loading = interlock(LAB, others=50, clock=clock)
    for _ in range(20):
        async with loading.call("999"):
            pass
    assert clock.slept == []


def test_load_and_faults_need_a_lab_and_the_word() -> None:
    """Both; a safe probe needs neither."""
    (safe,) = (probe for probe in all_probes() if probe.name == "sip.options")
    harmful = replace(safe, level=Level.LAB)
    interlock().admit(safe)
    interlock(LAB, lab_allowed=True).admit(harmful)
    for refusing, reason in (
        (interlock(LIVE, lab_allowed=True), "not marked as a lab"),
        (interlock(LAB), "--lab was not given"),
    ):
        with pytest.raises(InterlockError, match=reason):
            refusing.admit(harmful)


def test_nothing_dials_past_the_interlock() -> None:
    """Of all that runs probes only these call, and they ask it first; lab tools take a lab, whose codes its phones may dial."""
    ask_first, codes = {"site.py", "pair.py", "desks.py"}, {"sipp/room.py"}
    root = Path(hwtest.__file__).parent
    labs_own = {"useragent", "bench", "shift", "soak", "lab"}
    guilty = [
        f"{file.name}:{node.lineno}"
        for file in root.rglob("*.py")
        if file.relative_to(root).parts[0] not in labs_own
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (
            (node.func.attr == "invite" and file.name not in ask_first)
            or (
                node.func.attr == "dial"
                and str(file.relative_to(root)) not in codes
                and not (isinstance(node.func.value, ast.Name) and node.func.value.id in ("site", "beyond"))
            )
        )
    ]
    assert guilty == []


class Switch:
    """A control link of a switch with these channels."""

    def __init__(self, channels: list[tuple[str, str]] | None, counted: str) -> None:
        self._channels = channels
        self._counted = counted

    async def ask(self, _name: str, _headers: object) -> dict[str, str]:
        """How many there are, as it counts."""
        return {"CoreCurrentCalls": self._counted}

    async def list(self, name: str, _headers: object) -> list[dict[str, str]]:
        """All of them, where the account may see them."""
        if self._channels is None:
            raise RefusedError(f"{name}: permission denied")
        return [{"Channel": channel, "ChannelStateDesc": state} for channel, state in self._channels]


@pytest.mark.parametrize(
    ("channels", "counted", "calls"),
    [
        ([], "0", 0),
        ([("PJSIP/bt-01", "Up"), ("Surrogate/PJSIP/agent1-02", "Down")], "2", 1),
        ([("Surrogate/PJSIP/agent1-02", "Down")], "1", 0),
        ([("Surrogate/PJSIP/agent1-02", "Up")], "1", 1),
        (None, "2", 2),
        ([], "many", None),
    ],
)
async def test_dead_entries_are_no_calls(
    tmp_path: Path, channels: list[tuple[str, str]] | None, counted: str, calls: int | None
) -> None:
    """What Asterisk leaves on its list for ever keeps nobody from testing; where they cannot be told apart, all count."""
    site = Site(LIVE, tmp_path)

    async def control() -> Any:
        return Switch(channels, counted)

    site.control = control  # type: ignore[method-assign]
    assert await site._calls_in_progress() == calls
