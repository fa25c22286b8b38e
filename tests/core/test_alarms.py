"""The heap of deadlines: a later setting replaces the earlier one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.core.alarms import AlarmClock
from edge.core.model import Instant

ACTIONS = ["set", "cancel", "cancel all", "due", "hold", "release"]
KEYS = st.sampled_from([("offer", "a"), ("offer", "b"), ("call", "a")])


def at(seconds: int) -> Instant:
    """An instant by its number of nanoseconds."""
    return Instant(seconds, seconds)


@given(st.lists(st.tuples(st.sampled_from(ACTIONS), KEYS, st.integers(0, 9))))
def test_the_alarm_clock_agrees_with_a_dictionary(
    actions: list[tuple[str, tuple[str, str], int]],
) -> None:
    """Whatever is set, replaced, cancelled, held, released and come due, the soonest deadline is the one a plain search finds."""
    clock, model, held = AlarmClock(), dict[tuple[str, str], int](), set[tuple[str, str]]()
    for action, key, when in actions:
        if action == "set":
            clock.set(key, at(when))
            model[key] = when
            held.discard(key)
        elif action == "cancel":
            clock.cancel(key)
            model.pop(key, None)
            held.discard(key)
        elif action == "cancel all":
            clock.cancel_all(("offer", "call"), key[1])
            for kind in ("offer", "call"):
                model.pop((kind, key[1]), None)
                held.discard((kind, key[1]))
        elif action == "release":
            clock.release(at(when))
            model |= dict.fromkeys(held, when)
            held.clear()
        else:
            due = {name for name, moment in model.items() if moment <= when}
            assert set(clock.due(at(when))) == due
            if action == "hold":
                held |= due
                for name in due:
                    clock.hold(name)
            model = {name: moment for name, moment in model.items() if name not in due}
        soonest = clock.next()
        assert (soonest and soonest.monotonic_ns) == min(model.values(), default=None)
