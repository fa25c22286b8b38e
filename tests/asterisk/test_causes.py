"""How an attempt to call somebody back ended: the statuses and causes that were measured, and those that were not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.promise import AttemptOutcome
from edge.pbx.asterisk.causes import outcome
from edge.pbx.asterisk.sightings import LegEnded

BUSY, REJECTED = AttemptOutcome.BUSY, AttemptOutcome.REJECTED
INVALID, NETWORK = AttemptOutcome.INVALID, AttemptOutcome.NETWORK


def ended(cause: int, status: int, *, answered: bool = False) -> LegEnded:
    """The end of a person's leg."""
    return LegEnded(leg_id="", cause=cause, status=status, words="", switch_utc_us=None, answered=answered)


@pytest.mark.parametrize(
    ("status", "cause", "expected"),
    [
        (486, 17, BUSY),
        (600, 17, BUSY),
        (603, 21, REJECTED),
        (607, 127, REJECTED),
        (403, 21, REJECTED),
        (404, 1, INVALID),
        (410, 22, INVALID),
        (484, 28, INVALID),
        (604, 1, INVALID),
        (500, 38, NETWORK),
        (503, 34, NETWORK),
        (488, 58, NETWORK),
        (302, 23, NETWORK),
        (401, 21, NETWORK),
        (0, 17, BUSY),
        (0, 21, REJECTED),
        (0, 1, INVALID),
        (0, 22, INVALID),
        (0, 28, INVALID),
        *((0, cause, NETWORK) for cause in (0, 3, 27, 34, 38, 41, 42, 127)),
    ],
)
@pytest.mark.parametrize("rang", [True, False])
def test_what_the_network_says(status: int, cause: int, expected: AttemptOutcome, rang: bool) -> None:
    """A word about the person or their number counts; anything else is the network's. Ringing changes nothing."""
    assert outcome(ended(cause, status), rang=rang) is expected


@pytest.mark.parametrize(
    ("status", "cause"), [(408, 18), (480, 19), (487, 127), (0, 16), (0, 18), (0, 19), (0, 20)]
)
def test_silence(status: int, cause: int) -> None:
    """A phone that rang was not answered, whoever ended the ringing; one that did not was not reached."""
    assert outcome(ended(cause, status), rang=True) is AttemptOutcome.NO_ANSWER
    assert outcome(ended(cause, status), rang=False) is NETWORK


def test_answered_and_gone_before_we_had_them() -> None:
    """They were there."""
    assert outcome(ended(0, 0, answered=True), rang=True) is AttemptOutcome.HUNG_UP


@given(st.integers(0, 9999), st.integers(0, 9999), st.booleans())
def test_every_end_has_an_outcome(cause: int, status: int, rang: bool) -> None:
    """Of those that a network can bring about."""
    assert outcome(ended(cause, status), rang=rang) in {
        BUSY,
        REJECTED,
        INVALID,
        NETWORK,
        AttemptOutcome.NO_ANSWER,
    }
