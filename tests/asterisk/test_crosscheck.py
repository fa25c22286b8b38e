"""What the two links, the book and the engine do not agree on, and when it counts."""

from typing import Any

import pytest

from edge.pbx.asterisk.book import AgentLeg, Book, CallerLeg
from edge.pbx.asterisk.crosscheck import CrossCheck, Difference, Kind, compare
from edge.pbx.asterisk.identity import leg_of_offer, offer_of_transfer
from tests.asterisk.site import POLICY
from tests.asterisk.test_snapshot import channel

HELD = "edge101,arrived,c-1,second,1700000000000,allowed"
CLAIMED = "700,^edge101$,arrived:c-1:second:1700000000000:allowed"


def caller(leg_id: str = "1.1", application: str = "Stasis", data: str = HELD) -> dict[str, Any]:
    """A caller in our application, as ARI lists them."""
    return channel(leg_id, "edge-line-second", "arrive", application, data)


def book(*legs: CallerLeg, offers: tuple[AgentLeg, ...] = ()) -> Book:
    """One that knows of these."""
    made = Book(POLICY)
    made.calls = {leg.call_id: leg for leg in legs}
    made.offers = {leg.offer_id: leg for leg in offers}
    return made


KNOWN = CallerLeg(call_id="c-1", leg_id="1.1", line="second")
OFFER = AgentLeg(offer_id="c-1.1", rang=True)
PHONE = channel(leg_of_offer("c-1.1"), "edge-phones", "s", "AppDial2", name="PJSIP/desk1-1")


@pytest.mark.parametrize("shown", [caller(), caller(application="StasisBroadcast", data=CLAIMED)])
def test_all_agree(shown: dict[str, Any]) -> None:
    """A caller and a ringing phone that everybody knows, however the caller came to us."""
    legs = {"1.1", leg_of_offer("c-1.1")}
    assert compare([shown, PHONE], legs, book(KNOWN, offers=(OFFER,)), "edge101", {"c-1": True}) == set()


@pytest.mark.parametrize(
    ("channels", "legs", "known", "live", "kind", "about"),
    [
        ([caller()], {"1.1"}, book(), {}, Kind.STRAY, "1.1"),
        ([PHONE], {PHONE["id"]}, book(), {}, Kind.STRAY, PHONE["id"]),
        ([], set(), book(KNOWN), {"c-1": True}, Kind.GONE, "1.1"),
        ([], set(), book(offers=(OFFER,)), {}, Kind.GONE, PHONE["id"]),
        ([caller()], set(), book(KNOWN), {"c-1": True}, Kind.ARI_ALONE, "1.1"),
        ([], {"1.1"}, book(KNOWN), {"c-1": True}, Kind.AMI_ALONE, "1.1"),
        ([caller()], {"1.1"}, book(KNOWN), {}, Kind.UNSERVED, "c-1"),
        ([], set(), book(), {"c-1": True}, Kind.LEGLESS, "c-1"),
    ],
)
def test_each_difference(
    channels: list[Any], legs: set[str], known: Book, live: dict[str, bool], kind: Kind, about: str
) -> None:
    """One of the four does not know what the others know."""
    assert compare(channels, legs, known, "edge101", live) == {Difference(kind, about)}


def test_a_call_without_a_caller_on_the_line_needs_no_leg() -> None:
    """A call-back that waits."""
    assert compare([], set(), book(), "edge101", {"c-1": False}) == set()


def test_strangers_are_not_ours() -> None:
    """Another application's channels, and one that is offered and not a call's."""
    others = [caller(data="other,arrived,c-1,second,1"), channel("1.2", "from-trunk", "s", "Dial")]
    assert compare(others, {"1.1", "1.2"}, book(), "edge101", {}) == set()


def test_only_what_lasts_counts_and_is_tried_once() -> None:
    """The first look may catch a call between two lists; what reconciling did not mend is not tried again and again, until it
    was away."""
    stray, gone = Difference(Kind.STRAY, "1.1"), Difference(Kind.GONE, "1.2")
    checks = CrossCheck()
    assert checks.look({stray}) == (set(), set())
    assert checks.look({stray, gone}) == ({stray}, {stray})
    checks.forget()
    assert checks.look({stray}) == (set(), set())
    assert checks.look({stray}) == (set(), set())
    assert checks.look(set()) == (set(), set())
    checks.look({stray})
    assert checks.look({stray}) == ({stray}, {stray})
    assert checks.count == 2


def test_a_colleague_who_was_given_a_caller_is_followed_by_their_own_leg() -> None:
    """Its id is the switch's own: shown by both links it differs in nothing, gone from both it is gone."""
    taken = AgentLeg(offer_id=offer_of_transfer("c-1", "170.5"), rang=True, answered=True)
    talking = channel("170.5", "edge-phones", "s", "AppDial", name="PJSIP/desk2-5")
    known = book(KNOWN, offers=(taken,))
    assert compare([caller(), talking], {"1.1", "170.5"}, known, "edge101", {"c-1": True}) == set()
    gone = compare([caller()], {"1.1"}, known, "edge101", {"c-1": True})
    assert gone == {Difference(Kind.GONE, "170.5")}
