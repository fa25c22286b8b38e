"""Session requests off the wire, by the definitions of RFC 6076."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwtest.sipp.sessions import sessions, statuses, tally
from tests.sipp.made import CALLER, MS, call, record

PORTS = {CALLER}


def test_the_first_answer_that_is_no_100_counts() -> None:
    """SRD to 180, answer delay to 200."""
    (session,) = sessions(call("a", "200"), PORTS)
    assert (session.delay_seconds, session.answer_seconds) == (0.005, 0.020)


def test_an_invite_that_is_sent_again_resets_no_time() -> None:
    """Nor is it another session request (§3)."""
    again = record("a", "INVITE", 500)
    (session,) = sessions([record("a", "INVITE", 0), again, *call("a", "200", 500)[1:]], PORTS)
    assert (session.delay_seconds, session.repeated) == (0.505, 1)


def test_a_challenge_is_no_answer() -> None:
    """The time runs on through 401 to the answer of the second INVITE."""
    first = [record("a", "INVITE", 0), record("a", "401", 3)]
    second = [replace(one, sequence_number=2, branch="2") for one in call("a", "200", 4)]
    (session,) = sessions(first + second, PORTS)
    assert (session.status, session.delay_seconds) == (200, 0.009)


def test_only_our_callers_count() -> None:
    """The leg to the agent's phone, and an INVITE inside a call, are no session requests of ours."""
    agent = replace(record("b", "INVITE", 1), source_port=5060, destination_port=40002)
    inside = record("c", "INVITE", 1, in_dialog=True)
    assert [session.call_id for session in sessions([*call("a", "200"), agent, inside], PORTS)] == ["a"]


def test_the_end_of_a_call() -> None:
    """BYE and its answer."""
    bye = [record("a", "BYE", 100, method="BYE", in_dialog=True), record("a", "200", 104, method="BYE")]
    (session,) = sessions([*call("a", "200"), *bye], PORTS)
    assert (session.released_ns, session.release_answered_ns) == (100 * MS, 104 * MS)


def test_every_ratio_has_its_own_list() -> None:
    """SER, SEER and ISA count different statuses; 3xx are in neither denominator of the first two."""
    given = ["200", "200", "486", "480", "302", "404", "503", "408", None]
    found = sessions(
        [one for place, status in enumerate(given) for one in call(f"{place}", status, place)], PORTS
    )
    counted = tally(found)
    assert (counted.requests, counted.not_redirected, counted.successful, counted.effective) == (9, 8, 2, 4)
    assert [session.status for session in counted.ineffective] == [503, 408, None]
    assert [session.status for session in counted.phone] == [486, 480]
    assert [session.status for session in counted.refused] == [404]
    assert statuses(counted.ineffective) == "1 with 408, 1 with 503, 1 without an answer"


@pytest.mark.parametrize(
    "status", ["403", "404", "480", "486", "488", "500", "503", "504", "600", "603", "604", None]
)
def test_a_failed_call_has_exactly_one_cause(status: str | None) -> None:
    """So that no call is blamed on two layers, and none on nobody."""
    for others in ([], call("b", "200")):
        counted = tally(sessions(call("a", status) + others, PORTS))
        causes = (counted.ineffective, counted.exhausted, counted.phone, counted.refused)
        assert sorted(map(len, causes)) == [0, 0, 0, 1]
        assert len(counted.failed) == 1


def test_a_488_among_calls_that_were_taken() -> None:
    """The same audio was offered by all: the switch has run out of ports. Alone it is a refusal."""
    assert len(tally(sessions(call("a", "488") + call("b", "200"), PORTS)).exhausted) == 1
    assert len(tally(sessions(call("a", "488"), PORTS)).refused) == 1
