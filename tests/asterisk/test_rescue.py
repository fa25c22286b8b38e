"""Who is stranded, in what order they go, and what is left alone: the rescuer's own rules, on a switch made of lists."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence

import pytest
from panoramisk.message import Message

from edge.pbx.asterisk import entering, rescue
from edge.pbx.asterisk.identity import leg_of_offer
from edge.pbx.asterisk.rescue import Rescue, Result, entry

DEAD_MEN = {"101": 15.0, "999": 3.0}


class Channel(dict[str, str]):
    """One as CoreShowChannels lists it, and what is noted on it."""

    def __init__(self, leg_id: str, data: str = "", bridge: str = "", **noted: str) -> None:
        application = "Stasis" if data else "AppDial2"
        super().__init__(Uniqueid=leg_id, Application=application, ApplicationData=data, BridgeId=bridge)
        self.noted = noted


def caller(name: str, joined: int, tier: str = "101", upgraded: str = "", line: str = "") -> Channel:
    """A caller in our application."""
    line = line or tier
    return Channel(
        f"leg-{name}", f"edge101,arrived,{name},{line},{joined},allowed",
        EDGE_CALL=name, EDGE_LINE=line, EDGE_TIER=tier, EDGE_UPGRADED=upgraded, EDGE_JOINED=str(joined),
    )  # fmt: skip


class Switch:
    """Clocks run by the loop's time; those of `served` are put off by somebody."""

    def __init__(
        self, *channels: Channel, served: Sequence[str] = (), refuses: Mapping[str, str] | None = None
    ) -> None:
        self.channels = list(channels)
        self.served = served
        self.refuses = refuses or {}
        self.done: list[tuple[str, str, str]] = []
        self.on_the_way = ""
        """The application in which who was moved still is when the answer to Redirect comes; "": they are gone."""
        self._looks = 0

    async def ask_all(self, requests: Sequence[tuple[str, Mapping[str, str]]]) -> list[Message]:
        """Getvar, Setvar, Redirect, Hangup."""
        return [self._answer(name, headers) for name, headers in requests]

    async def list(self, name: str, headers: Mapping[str, str]) -> list[Message]:
        """The channels that are there."""
        assert name == "CoreShowChannels"
        self._looks += 1
        listed = [Message(dict(channel)) for channel in self.channels]
        for channel in self.channels:
            if channel["Application"] == "Goto":  # the next who looks sees them in the queue
                channel["Application"] = "Queue"
                self.done.append(("enters", channel["Uniqueid"], ""))
        return listed

    def _answer(self, name: str, headers: Mapping[str, str]) -> Message:
        leg_id = headers["Channel"]
        if name == "Getvar":
            channel = next(channel for channel in self.channels if channel["Uniqueid"] == leg_id)
            value = channel.noted.get(headers["Variable"], "")
            if headers["Variable"] == "TIMEOUT(absolute)":
                value = (
                    "2.5"
                    if leg_id in self.served and self._looks % 3 == 0
                    else f"{2.4 - 0.1 * (self._looks % 3):.3f}"
                )
                if leg_id not in self.served:
                    value = f"{2.5 - 0.05 * self._looks:.3f}"
            return Message({"Response": "Success", "Value": value})
        if (no := self.refuses.get(leg_id)) is not None:
            return Message({"Response": "Error", "Message": no})
        if name != "Setvar":
            self.done.append((name, leg_id, headers.get("Context", "")))
            if self.on_the_way and name == "Redirect":
                moved = next(each for each in self.channels if each["Uniqueid"] == leg_id)
                moved["Application"] = self.on_the_way
            else:
                self.channels = [channel for channel in self.channels if channel["Uniqueid"] != leg_id]
        return Message({"Response": "Success"})


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rescue, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(rescue, "SLACK_SECONDS", -0.8)


def people() -> list[Channel]:
    """A 999, an upgraded 101, two 101, a line that is no more, a pair that talks, and a phone that rings for the second 101."""
    return [
        caller("second", 2000),
        caller("first", 1000),
        caller("old-line", 1500, line="gone"),
        caller("upgraded", 3000, upgraded="1"),
        caller("emergency", 4000, tier="999"),
        Channel("leg-talks", bridge="b1"),
        Channel(leg_of_offer("talks.1"), bridge="b1"),
        Channel(leg_of_offer("second.1")),
        Channel(leg_of_offer("alone.1"), bridge="b2"),
    ]


async def test_all_in_order_at_once() -> None:
    """Nobody can be serving them: emergencies first, then as they joined, each to its line's fallback; phones released; the talk
    untouched; a second run finds nobody."""
    switch = Switch(*people())
    report = await Rescue(switch, "edge101", DEAD_MEN).run(at_once=True)
    assert switch.done == [
        ("Redirect", "leg-upgraded", "edge-line-101"),
        ("Redirect", "leg-emergency", "edge-line-999"),
        ("Redirect", "leg-first", "edge-line-101"),
        ("Redirect", "leg-old-line", "edge-dead-man"),
        ("Redirect", "leg-second", "edge-line-101"),
        ("Hangup", leg_of_offer("alone.1"), ""),
        ("Hangup", leg_of_offer("second.1"), ""),
    ]
    assert (report.talking, report.served, report.failed) == (1, 0, 0)
    assert (await Rescue(switch, "edge101", DEAD_MEN).run(at_once=True)).done == ()


async def test_who_shares_a_tenth_of_a_second_enters_the_queue_in_order() -> None:
    """The queue's own priority does not tell them apart, so the second is moved when the first is in it; who joined in another
    tenth, or is in another queue, waits for nobody."""
    switch = Switch(
        caller("third", 1100),
        caller("second", 1090),
        caller("first", 1010),
        caller("emergency", 1090, tier="999"),
    )
    switch.on_the_way = "Goto"
    await Rescue(switch, "edge101", DEAD_MEN).run(at_once=True)
    done = [(name, leg_id) for name, leg_id, _ in switch.done]
    assert [leg_id for name, leg_id in done if name == "Redirect"] == [
        "leg-emergency",
        "leg-first",
        "leg-second",
        "leg-third",
    ]
    assert done.index(("enters", "leg-first")) < done.index(("Redirect", "leg-second"))
    assert [leg_id for name, leg_id in done if name == "enters"] == ["leg-first", "leg-emergency"]


async def test_who_never_enters_the_queue_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leg that is stuck elsewhere keeps the others half a second at most."""
    monkeypatch.setattr(entering, "ENTERS_SECONDS", 0.02)
    switch = Switch(caller("first", 1010), caller("second", 1090))
    switch.on_the_way = "Ringing"
    await Rescue(switch, "edge101", DEAD_MEN).run(at_once=True)
    assert [leg_id for _, leg_id, _ in switch.done] == ["leg-first", "leg-second"]


async def test_who_is_served_is_left_alone() -> None:
    """A clock that is put off is somebody's: that caller stays, and so do phones that ring for them; the other is moved."""
    first, second = caller("first", 1000), caller("second", 2000)
    ringing = Channel(leg_of_offer("first.1"))
    switch = Switch(first, second, ringing, served=["leg-first"])
    report = await Rescue(switch, "edge101", DEAD_MEN).run(at_once=False)
    assert switch.done == [("Redirect", "leg-second", "edge-line-101")]
    assert report.served == 1


async def test_nobody_serves_a_stopped_daemons_callers() -> None:
    """Every clock only runs down: all are moved, and the phones are released."""
    switch = Switch(*people())
    await Rescue(switch, "edge101", DEAD_MEN).run(at_once=False)
    assert [name for name, _, _ in switch.done] == ["Redirect"] * 5 + ["Hangup"] * 2


async def test_a_daemon_without_callers_is_left_alone() -> None:
    """Nobody waits: a phone that rings may be for a caller who was connected this moment."""
    switch = Switch(Channel(leg_of_offer("x.1")))
    assert (await Rescue(switch, "edge101", DEAD_MEN).run(at_once=False)).done == ()


async def test_what_fails_is_told() -> None:
    """One who hung up meanwhile is gone, and no failure; a refusal is one, and the next is moved all the same."""
    switch = Switch(
        *(caller(name, joined) for joined, name in enumerate(("gone", "refused", "well"), 1)),
        refuses={"leg-gone": "No such channel", "leg-refused": "Permission denied"},
    )
    report = await Rescue(switch, "edge101", DEAD_MEN).run(at_once=True)
    assert [each.result for each in report.done] == [Result.GONE, Result.FAILED, Result.MOVED]
    assert report.failed == 1


@pytest.mark.parametrize(
    ("application", "data", "words"),
    [
        ("Stasis", "edge101,arrived,c,101,1,allowed", ["arrived", "c", "101", "1", "allowed"]),
        (
            "StasisBroadcast",
            "700,^edge101$,returned:c:101:1:allowed",
            ["returned", "c", "101", "1", "allowed"],
        ),
        ("Stasis", "edge101,offer,c.1", None),
        ("Stasis", "other,arrived,c,101,1,allowed", None),
        ("StasisBroadcast", "700,^other$,arrived:c:101:1:allowed", None),
        ("Queue", "edge-101,i,,,120", None),
        ("Stasis", "", None),
    ],
)
def test_who_is_ours(application: str, data: str, words: list[str] | None) -> None:
    """By the words of the dialplan, in either application."""
    assert entry({"Application": application, "ApplicationData": data}, "edge101") == words


def test_it_is_small() -> None:
    """Neither the engine nor ARI is imported, however it fares with them."""
    program = (
        "import sys, edge.cli.rescue, edge.pbx.asterisk.rescue, edge.pbx.asterisk.ami.client\n"
        "print([m for m in sys.modules if m.startswith(('edge.core.engine', 'edge.ledger', 'edge.runtime', 'aiohttp',"
        " 'aioari', 'sqlalchemy', 'pydantic', 'edge.pbx.asterisk.ari'))])"
    )
    run = subprocess.run(
        (sys.executable, "-c", program), capture_output=True, text=True, check=True, timeout=30
    )
    assert run.stdout.strip() == "[]"
