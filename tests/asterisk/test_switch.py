"""The life of the connection: told once when lost, given up when nothing comes through, and heard in order."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import structlog

from edge.core.inputs import CallPresented, Input, LinkLost
from edge.errors import LinkError, PermanentError
from edge.pbx.asterisk import identity, switch
from edge.pbx.asterisk.calls import LookRound
from edge.pbx.asterisk.settings import AsteriskSettings
from edge.pbx.asterisk.sightings import Caller, CallerEntered, CanaryHeard, HangUpAsked, Sighting
from edge.pbx.asterisk.switch import AsteriskPbx, CanaryMissed
from tests.asterisk.site import POLICY

SETTINGS = AsteriskSettings(ari_password="", ami_password="", ami_port=1)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switch, "FIRST_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(switch, "LONGEST_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(switch, "CANARY_ANSWER_SECONDS", 0.01)


class DeafLink:
    """An ARI link whose application is dead."""

    async def send_canary(self, nonce: str) -> None:
        """Accepted, and never heard of again."""


def failing(*errors: Exception) -> Callable[[], Awaitable[None]]:
    """Connections that end like this, one after the other."""
    left = list(errors)

    async def connection() -> None:
        raise left.pop(0)

    return connection


async def test_outage_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often reconnecting fails, the engine hears one LinkLost, and a wrong password ends it all."""
    pbx, posted = AsteriskPbx(SETTINGS, POLICY), list[Input]()
    ends = (LinkError("first"), LinkError("second"), LinkError("third"), PermanentError("password"))
    monkeypatch.setattr(pbx, "_one_connection", failing(*ends))
    with pytest.raises(PermanentError):
        await pbx.run(posted.append)
    assert posted == [LinkLost(link="asterisk", error="first")]


async def test_absent_asterisk_is_tried_again() -> None:
    """Nothing listens there: one LinkLost with a clear error, and no end."""
    pbx, posted = AsteriskPbx(SETTINGS, POLICY), list[Input]()
    told = asyncio.Event()

    def post(given: Input) -> None:
        posted.append(given)
        told.set()

    run = asyncio.create_task(pbx.run(post))
    async with asyncio.timeout(5):
        await told.wait()
    assert run.done() is False
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    (lost,) = posted
    assert isinstance(lost, LinkLost)
    assert "Is Asterisk running?" in lost.error


async def test_second_missed_canary_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that is open and dead twice in a row needs a new process."""
    pbx = AsteriskPbx(SETTINGS, POLICY)

    async def connection() -> None:
        await pbx._send_canary(DeafLink())  # type: ignore[arg-type]

    monkeypatch.setattr(pbx, "_one_connection", connection)
    with pytest.raises(LinkError, match="2 canaries missed") as raised:
        await pbx.run(lambda given: None)
    assert isinstance(raised.value, CanaryMissed) is False


async def test_canary_that_is_heard_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nonce comes back through the path of every event."""
    pbx = AsteriskPbx(SETTINGS, POLICY)

    class Echo:
        async def send_canary(self, nonce: str) -> None:
            pbx._see(CanaryHeard(nonce=nonce))

    await pbx._send_canary(Echo())  # type: ignore[arg-type]
    assert pbx._canaries_missed == 0


async def test_nothing_is_told_before_reconciled() -> None:
    """What is heard while looking is kept back, so that the engine never sees it before the snapshot."""
    pbx, posted = AsteriskPbx(SETTINGS, POLICY), list[Input]()
    pbx._post = posted.append
    arrival = CallerEntered(
        call_id="c-1",
        leg_id="1.1",
        line="routine",
        caller=Caller(),
        returned=False,
        joined_utc_us=None,
        switch_utc_us=None,
    )
    pbx._backlog = []
    pbx._see(arrival)
    before = list(posted)
    backlog, pbx._backlog = pbx._backlog, None
    for sighting in backlog:
        pbx._see(sighting)
    assert (before, [type(each) for each in posted]) == ([], [CallPresented])


async def test_leg_whose_phone_has_hung_up_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asterisk lost the hang-up: we end that leg, and no other."""
    monkeypatch.setattr(switch, "RELEASE_SECONDS", 0.0)
    pbx, ended = AsteriskPbx(SETTINGS, POLICY), asyncio.Queue[str]()

    async def hang_up_offer(offer_id: str, *, answered_elsewhere: bool) -> None:
        ended.put_nowait(offer_id)

    monkeypatch.setattr(pbx._hands, "hang_up_offer", hang_up_offer)
    for offer_id in ("c-1.1", "c-2.1"):
        pbx._book.offer_made(offer_id)
    pbx._book.see(HangUpAsked(leg_id="edge-c-1.1-leg"))
    release = asyncio.create_task(pbx._release())
    async with asyncio.timeout(5):
        assert [await ended.get() for _ in range(3)] == ["c-1.1"] * 3
    await _cancelled(release, *pbx._tasks)


async def test_the_log_tells_whether_a_worker_is_left() -> None:
    """Busy with the first worker, idle only when the last has ended: the live tests read it."""
    pbx = AsteriskPbx(SETTINGS, POLICY)
    with structlog.testing.capture_logs() as logged:
        for offer_id in ("c-1.1", "c-2.1"):
            pbx._book.offer_made(offer_id)
            pbx._worker(identity.call_of_offer(offer_id))
        del pbx._book.offers["c-1.1"]
        pbx._tell("c-1", LookRound())
        await asyncio.wait(pbx._tasks, return_when=asyncio.FIRST_COMPLETED)
        while_one_is_left = [record["event"] for record in logged]
        del pbx._book.offers["c-2.1"]
        pbx._tell("c-2", LookRound())
        await asyncio.wait(pbx._tasks)
        await asyncio.sleep(0)  # a task's own callbacks may come after ours
    assert while_one_is_left == ["workers.busy"]
    assert [record["event"] for record in logged] == ["workers.busy", "workers.idle"]


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# ---------------------------------------------------------------------- bounds


def heard(number: int) -> HangUpAsked:
    """Something the switch told."""
    return HangUpAsked(leg_id=f"1.{number}")


async def test_too_many_unheard_events_end_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue between reader and book is full: the link ends by name, and nothing of it is lost silently."""
    events: asyncio.Queue[Sighting] = asyncio.Queue(3)
    for number in range(3):
        switch._put(events, heard(number))
    with pytest.raises(LinkError, match="events wait to be heard"):
        switch._put(events, heard(4))


async def test_too_many_events_before_the_first_look_end_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """A switch that floods while it is being looked at: the link ends, and the next look replaces what was kept back."""
    monkeypatch.setattr(switch, "MOST_WAITING_EVENTS", 3)
    pbx = AsteriskPbx(SETTINGS, POLICY)
    pbx._backlog = []
    for number in range(3):
        pbx._see(heard(number))
    with pytest.raises(LinkError, match="wait for the switch to be looked at"):
        pbx._see(heard(4))


class ClaimingLink:
    """An ARI link that notes whom it claims."""

    def __init__(self) -> None:
        self.claimed: list[str] = []

    def claim(self, leg_id: str) -> None:
        """Take a caller."""
        self.claimed.append(leg_id)


async def test_callers_beyond_the_bound_are_left_to_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first look callers are kept to be claimed after it, up to the bound; nobody beyond it is."""
    monkeypatch.setattr(switch, "MOST_UNCLAIMED", 2)
    pbx, link = AsteriskPbx(SETTINGS, POLICY), ClaimingLink()
    pbx.pulse()
    pbx._backlog = []
    for leg_id in ("1.1", "1.2", "1.3"):
        pbx._consider(leg_id, link)  # type: ignore[arg-type]
    assert pbx._unclaimed == ["1.1", "1.2"]
    assert link.claimed == []
