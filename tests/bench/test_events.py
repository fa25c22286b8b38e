"""Events digested: a real loop, engine, recorder and ledger behind a played switch, and what is said of the rates."""

from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from edge.ledger.store import open_reader
from hwtest.bench.events import Plan, Stage, figures, not_measured, rise
from hwtest.bench.ledger import entries_after

EVENTS_OF_A_CALL = 15


async def test_every_call_is_digested_and_recorded(tmp_path: Path) -> None:
    """From the arrival to both hang-ups: each event counted once, each call in the ledger with its conversation."""
    (stage,) = await rise(tmp_path, 1.0, rates=(20,))
    assert (stage.calls, stage.ended, len(stage.lags)) == (20, 20, 20 * EVENTS_OF_A_CALL)
    with closing(open_reader(f"sqlite:///{tmp_path}/ledger.sqlite")) as reader:
        kinds = Counter(type(entry.fact).__name__ for entry in entries_after(reader, 0))
    assert {
        kinds[name] for name in ("CallArrived", "OfferMade", "OfferAnswered", "CallConnected", "CallEnded")
    } == {20}


def stage(calls: int, lags: list[float], ended: int | None = None) -> Stage:
    """One second of a rate."""
    return Stage(calls=calls, ended=calls if ended is None else ended, seconds=1.0, lags=lags)


@pytest.mark.parametrize(
    ("stages", "rate", "met"),
    [
        ([stage(1, [1.0] * 10_000)], 10_000, True),
        ([stage(1, [1.0] * 10), stage(2, [99.0] * 20), stage(3, [1.0] * 29 + [100.1])], 20, False),
        ([stage(1, [1.0] * 10), stage(2, [500.0]), stage(3, [1.0] * 20_000)], 10, False),
        ([stage(1, [1.0] * 10), stage(2, [1.0] * 20_000, ended=1)], 10, False),
        ([stage(1, [500.0])], 0, False),
        ([stage(1, [])], 0, False),
    ],
)
def test_the_rate_that_holds(stages: list[Stage], rate: int, met: bool) -> None:
    """The last before the first at which an event was late or a call was not told to its end."""
    made = figures(stages, Plan())[0]
    assert (made.value, made.met, made.small) == (rate, met, False)


def test_nothing_tried_is_not_measured() -> None:
    """And a short run says that it was short."""
    assert not figures([], Plan())[0].measured and not not_measured("why")[0].measured
    assert figures([stage(1, [1.0])], Plan(seconds=1.0))[0].small
