"""The switch's health: writes that are not carried out, and the way of the waiting callers then."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from panoramisk.message import Message

from edge.core.model import Tier
from edge.errors import LinkError, RefusedError
from edge.pbx.asterisk import entering, switch
from edge.pbx.asterisk import guard as guarding
from edge.pbx.asterisk.ari.translate import LIST_CHANNELS, PROBE, Request
from edge.pbx.asterisk.book import AgentLeg, Book, CallerLeg, Place
from edge.pbx.asterisk.guard import Guard, SwitchUnwellError
from edge.pbx.asterisk.identity import leg_of_offer
from edge.pbx.asterisk.settings import AsteriskSettings
from edge.pbx.asterisk.switch import AsteriskPbx, CanaryMissed
from tests.asterisk.site import POLICY
from tests.asterisk.test_crosscheck import caller

SETTINGS = AsteriskSettings(ari_password="", ami_password="")


class Links:
    """Both links of a switch that carries out what it is asked, but for what `fails`: one error for each write."""

    def __init__(self, *fails: Exception | None, channels: Sequence[Any] = (), forgets: bool = False) -> None:
        self._fails = list(fails)
        self._channels = channels
        self._forgets = forgets
        self.variables: dict[str, str] = {}
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    async def filter_events(self) -> None:
        """The application's own filter."""
        error = self._fails.pop(0) if self._fails else None
        if error is not None:
            raise error

    async def request(self, request: Request) -> Any:
        """An ARI operation."""
        if request == LIST_CHANNELS:
            return list(self._channels)
        if not self._forgets:
            self.variables[request.parameters["variable"]] = request.parameters["value"]
        return None

    async def ask(self, name: str, headers: Mapping[str, str]) -> Message:
        """An AMI action."""
        self.asked.append((name, headers))
        return Message({"Value": self.variables.get(headers.get("Variable", ""), "")})

    async def ask_all(self, requests: Sequence[tuple[str, Mapping[str, str]]]) -> list[Message]:
        """Several."""
        self.asked += requests
        return [Message({"Response": "Success"}) for _ in requests]

    async def list(self, name: str, headers: Mapping[str, str]) -> list[Message]:
        """No channels."""
        return []


@pytest.fixture
def mute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors count as if they had been waited for."""
    monkeypatch.setattr(guarding, "MUTE_SECONDS", 0.0)


def guard(*calls: CallerLeg, offers: Sequence[AgentLeg] = ()) -> Guard:
    """Of a switch with these legs."""
    book = Book(POLICY)
    book.calls = {call.call_id: call for call in calls}
    book.offers = {leg.offer_id: leg for leg in offers}
    return Guard(POLICY, book, "edge101", dict)


async def probe(links: Links) -> None:
    """One probe over these links."""
    await guard().probe(links, links)  # type: ignore[arg-type]


async def test_a_switch_that_writes_is_well() -> None:
    """What was written over ARI is read over AMI."""
    links = Links()
    await probe(links)
    assert (links.asked, len(links.variables[PROBE])) == ([("Getvar", {"Variable": PROBE})], 16)


async def test_a_refused_connection_is_a_lost_link() -> None:
    """At once and not after a silence: it is begun anew, and nobody is moved."""
    with pytest.raises(LinkError) as raised:
        await probe(Links(LinkError("refused"), LinkError("refused")))
    assert type(raised.value) is LinkError


async def test_one_lost_write_is_no_illness(mute: None) -> None:
    """This machine may have stood still."""
    await probe(Links(LinkError("no answer")))


@pytest.mark.parametrize(
    "links",
    [Links(LinkError("no answer"), LinkError("no answer")), Links(forgets=True)],
    ids=["mute", "forgets"],
)
async def test_writes_in_vain_are(links: Links, mute: None) -> None:
    """No answer twice, or an answer and nothing done."""
    with pytest.raises(SwitchUnwellError):
        await probe(links)


async def test_a_refused_probe_ends_nothing() -> None:
    """An account without the right is a matter of configuration; callers are not moved for it."""
    await probe(Links(RefusedError("403", 403)))


async def test_a_stray_caller_is_looked_for_again() -> None:
    """In our application and unknown to us, at two looks: the connection is begun anew, which adopts; once for each."""
    looking, links = guard(), Links(channels=[caller()])
    await looking.cross_check(links, links)  # type: ignore[arg-type]
    with pytest.raises(LinkError, match="1 points"):
        await looking.cross_check(links, links)  # type: ignore[arg-type]
    for _ in range(3):
        await looking.cross_check(links, links)  # type: ignore[arg-type]
    assert looking.differences == 1


async def test_callers_are_sent_away_in_order() -> None:
    """Emergencies and upgraded before all, then as they joined; phones that ring are released; talks are left alone."""
    routine = next(name for name, line in POLICY.lines.items() if line.tier is Tier.ROUTINE)
    emergency = next(name for name, line in POLICY.lines.items() if line.tier is Tier.EMERGENCY)

    def leg(name: str, line: str, joined: int, **more: Any) -> CallerLeg:
        return CallerLeg(call_id=name, leg_id=f"leg-{name}", line=line, joined_utc_us=joined, **more)

    calls = (
        leg("late", routine, 5),
        leg("early", routine, 1),
        leg("upgraded", routine, 3, upgraded=True),
        leg("emergency", emergency, 4),
        leg("talks", routine, 0, place=Place.CONNECTED),
        leg("queued", routine, 0, place=Place.FALLBACK),
    )
    offers = (AgentLeg(offer_id="early.1", rang=True), AgentLeg(offer_id="talks.1", answered=True))
    links = Links()
    await guard(*calls, offers=offers).send_away(links)  # type: ignore[arg-type]
    moved = [headers["Channel"] for name, headers in links.asked if name == "Redirect"]
    ended = [headers["Channel"] for name, headers in links.asked if name == "Hangup"]
    assert moved == ["leg-upgraded", "leg-emergency", "leg-early", "leg-late"]
    assert ended == [leg_of_offer("early.1")]


class Entering(Links):
    """A switch whose answer to a Redirect comes before the caller is in its queue; `stuck`: they never are."""

    def __init__(self, *, stuck: bool = False) -> None:
        super().__init__()
        self.stuck = stuck
        self.moving: list[str] = []
        self.done: list[tuple[str, str]] = []

    async def ask_all(self, requests: Sequence[tuple[str, Mapping[str, str]]]) -> list[Message]:
        """Redirects."""
        for name, headers in requests:
            if name == "Redirect":
                self.done.append(("moved", headers["Channel"]))
                self.moving.append(headers["Channel"])
        return await super().ask_all(requests)

    async def list(self, name: str, headers: Mapping[str, str]) -> list[Message]:
        """Where they are; at the next look they are in the queue."""
        assert name == "CoreShowChannels"
        listed = [Message({"Uniqueid": leg_id, "Application": "Goto"}) for leg_id in self.moving]
        if not self.stuck:
            self.done += [("enters", leg_id) for leg_id in self.moving]
            self.moving.clear()
        return listed


def tenth(count: int) -> list[CallerLeg]:
    """So many callers who joined in one tenth of a second, the last first."""
    routine = next(name for name, line in POLICY.lines.items() if line.tier is Tier.ROUTINE)
    return [
        CallerLeg(call_id=f"c{n}", leg_id=f"leg-{n}", line=routine, joined_utc_us=n * 1000)
        for n in reversed(range(count))
    ]


async def test_who_shares_a_tenth_of_a_second_enters_the_queue_in_order() -> None:
    """The queue's own priority does not tell them apart, so the second is moved when the first is in it; who joined in another
    tenth waits for nobody."""
    links = Entering()
    later = CallerLeg(call_id="c9", leg_id="leg-9", line=tenth(1)[0].line, joined_utc_us=100_000)
    await guard(later, *tenth(2)).send_away(links)  # type: ignore[arg-type]
    assert links.done == [("moved", "leg-0"), ("enters", "leg-0"), ("moved", "leg-1"), ("moved", "leg-9")]


async def test_a_switch_that_moves_nobody_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not well: a hundred callers must not wait half a second each."""
    monkeypatch.setattr(entering, "ENTERS_SECONDS", 0.02)
    links, waits = Entering(stuck=True), list[str]()

    async def enters(link: Entering, leg_id: str) -> bool:
        waits.append(leg_id)
        return await entering.enters_queue(link, leg_id)

    monkeypatch.setattr(guarding, "enters_queue", enters)
    await guard(*tenth(4)).send_away(links)  # type: ignore[arg-type]
    assert [leg_id for _, leg_id in links.done] == ["leg-0", "leg-1", "leg-2", "leg-3"]
    assert waits == ["leg-0"]


async def test_before_a_planned_end_only_emergencies_are_sent_away() -> None:
    """Whoever else waits keeps their place for the next daemon, and the phone that rings for them."""
    routine = next(name for name, line in POLICY.lines.items() if line.tier is Tier.ROUTINE)
    emergency = next(name for name, line in POLICY.lines.items() if line.tier is Tier.EMERGENCY)
    calls = (
        CallerLeg(call_id="routine", leg_id="leg-routine", line=routine, joined_utc_us=1),
        CallerLeg(call_id="upgraded", leg_id="leg-upgraded", line=routine, joined_utc_us=3, upgraded=True),
        CallerLeg(call_id="emergency", leg_id="leg-emergency", line=emergency, joined_utc_us=2),
    )
    offers = (AgentLeg(offer_id="routine.1", rang=True), AgentLeg(offer_id="emergency.1", rang=True))
    links = Links()
    await guard(*calls, offers=offers).send_away(links, emergencies_alone=True)  # type: ignore[arg-type]
    moved = [headers["Channel"] for name, headers in links.asked if name == "Redirect"]
    ended = [headers["Channel"] for name, headers in links.asked if name == "Hangup"]
    assert moved == ["leg-emergency", "leg-upgraded"]
    assert ended == [leg_of_offer("emergency.1")]


async def test_the_process_ends_after_the_callers_were_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second missed canary, or a switch that writes nothing: first the callers, then the end that a supervisor mends."""
    for ending, misses in (
        (SwitchUnwellError("writes"), 0),
        (CanaryMissed("canary"), switch.CANARIES_MISSED),
    ):
        pbx, links = AsteriskPbx(SETTINGS, POLICY), Links()
        pbx._book.calls = {"c-1": CallerLeg(call_id="c-1", leg_id="1.1", line="second")}
        pbx._canaries_missed = misses

        async def settle(*_: object, ending: Exception = ending) -> None:
            raise ending

        monkeypatch.setattr(pbx, "_settle_and_guard", settle)

        async def connection(pbx: AsteriskPbx = pbx, links: Links = links) -> None:
            await pbx._serve_and_guard(links, links)  # type: ignore[arg-type]

        monkeypatch.setattr(pbx, "_one_connection", connection)
        with pytest.raises(SwitchUnwellError):
            await pbx.run(lambda given: None)
        assert [name for name, _ in links.asked].count("Redirect") == 1


async def test_only_a_daemon_that_lives_takes_a_caller() -> None:
    """Claimed straight from the reader while the engine pulses; kept until the switch was looked at; never by a wedged engine."""

    class Claims:
        def __init__(self) -> None:
            self.legs: list[str] = []

        def claim(self, leg_id: str) -> None:
            self.legs.append(leg_id)

    pbx, link = AsteriskPbx(SETTINGS, POLICY), Claims()
    pbx.pulse()
    pbx._consider("1.1", link)  # type: ignore[arg-type]
    pbx._backlog = []
    pbx._consider("1.2", link)  # type: ignore[arg-type]
    assert (link.legs, pbx._unclaimed) == (["1.1"], ["1.2"])
    pbx._backlog = None
    pbx._pulse_at -= switch.CLAIM_PULSE_SECONDS + 0.1
    pbx._consider("1.3", link)  # type: ignore[arg-type]
    assert link.legs == ["1.1"]
