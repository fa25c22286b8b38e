"""A transfer at the instant of the colleague's answer, as Asterisk 22.10.1 told it on AMI.

Recorded: a caller talks with agent 4001, who rings up 4002 and transfers the caller to them 0.2 ms after the 200 of their answer.
The handler's second leg is in no bridge yet when Asterisk looks: it puts the caller into that leg's Dial() and names no far leg
(`DestType: App`), though both BridgeEnter are told before. 4002 then sends the caller back by code. What the websocket told
before, the caller's arrival and the answer of 4001, is made by hand.
"""

from pathlib import Path

from edge.core.inputs import (
    CallerGone,
    CallPassedOn,
    ColleagueAnswered,
    ConsultationSeen,
    HoldChanged,
    Input,
    PairJoined,
    PhoneGone,
)
from edge.core.model import Side, TransferKind
from edge.pbx.asterisk import identity
from edge.pbx.asterisk.ami import translate as ami
from edge.pbx.asterisk.ami import wire
from edge.pbx.asterisk.book import Book
from edge.pbx.asterisk.sightings import Caller, CallerEntered, LegAnswered, MemberSeen
from tests.wire.test_transfers import POLICY

RECORDED = Path(__file__).parent / "asterisk-22.10.1.quick-transfer.ami.txt"
CALL, LEG, FAR_LEG = "20261126T200627Z-31", "lab-1795723587.31", "lab-1795723588.35"
OFFER = f"{CALL}.1"


def fold() -> list[Input]:
    """The inputs that a book makes of it, which has joined the caller with agent 4001."""
    book = Book(POLICY)
    book.see(
        CallerEntered(
            call_id=CALL,
            leg_id=LEG,
            line="101-no-greeting",
            caller=Caller(),
            returned=False,
            joined_utc_us=None,
            switch_utc_us=None,
        )
    )
    for agent, phone in (("4001", "agent1"), ("4002", "agent2")):
        book.see(
            MemberSeen(
                queue="edge-101",
                agent=agent,
                interface=f"PJSIP/{phone}",
                not_ready_reason=None,
                switch_utc_us=None,
            )
        )
    book.offer_made(OFFER, "PJSIP/agent1")
    book.see(LegAnswered(offer_id=OFFER, switch_utc_us=None))
    book.hand_over(CALL, OFFER)
    made = list[Input]()
    for frame in wire.Framer().feed(RECORDED.read_bytes()):
        message = wire.parse(frame)
        sighting = None if message is None else ami.sighting(message)
        made += [] if sighting is None else book.see(sighting)
    return made


def test_the_colleague_has_taken_the_caller_over() -> None:
    """Passed on to agent 4002, whose leg is followed to its end; the handler's offer ends with the last of theirs."""
    made = [each for each in fold() if not isinstance(each, HoldChanged)]
    assert [type(each) for each in made] == [
        PairJoined,
        ConsultationSeen,
        CallPassedOn,
        ColleagueAnswered,
        PhoneGone,
        PhoneGone,
        CallerGone,
    ]
    _, asked, passed, taken, handler, colleague, gone = made
    assert isinstance(asked, ConsultationSeen)
    assert (asked.call_id, asked.agent, asked.with_agent) == (CALL, "4001", "4002")
    assert isinstance(passed, CallPassedOn)
    assert (passed.kind, passed.offer_id, passed.agent) == (TransferKind.ATTENDED, OFFER, "4002")
    assert isinstance(taken, ColleagueAnswered)
    assert (taken.call_id, taken.agent, taken.phone) == (CALL, "4002", "agent2")
    assert identity.leg_of_offer(taken.offer_id) == FAR_LEG
    assert isinstance(handler, PhoneGone)
    assert isinstance(colleague, PhoneGone)
    assert (handler.offer_id, colleague.offer_id) == (OFFER, taken.offer_id)
    assert isinstance(gone, CallerGone)
    assert gone.side is Side.CALLER
