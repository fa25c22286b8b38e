"""What the benchmark says, and with which exit status."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from hwtest.bench.dispatch import Plan, figures
from hwtest.bench.facts import Comparison
from hwtest.bench.machine import Load, LoadMeter, Machine, commit, usage_of
from hwtest.bench.numbers import caller_numbers, comparable
from hwtest.bench.record import _figure
from hwtest.bench.report import Part, Report, ReportError, merged, table
from hwtest.bench.results import Block, Figure, cap_tail, count_errors, sized, unmeasured
from hwtest.bench.rig import OURS, PLAIN_QUEUE, PLAIN_QUEUE_DEFAULTS
from hwtest.options import default_file

MACHINE = Machine(processor="p", cores=2, memory_mb=1, kernel="6", python="3", asterisk="22")


def block(system: str, samples: list[float], invalid: str | None = None) -> Block:
    """One block."""
    return Block(
        figure="f",
        system=system,
        samples=samples,
        seconds=1,
        load_average=0,
        steal_share=0,
        busy_share=0,
        retransmissions=0,
        dropped=0,
        invalid=invalid,
    )


def part(made: Sequence[Figure], blocks: Sequence[Block] = (), name: str = "dispatch-20") -> Part:
    """One measurement with these figures."""
    return Part(
        name=name,
        started_utc="2026-01-01T02:03:04Z",
        version="1",
        commit="abcdef1",
        samples=60,
        wire="w",
        load=Load(1, 0, 0, 0.5, 0),
        figures=list(made),
        blocks=list(blocks),
    )


def report(made: Sequence[Figure], blocks: Sequence[Block] = ()) -> Report:
    """A run with these figures."""
    return Report(machine=MACHINE, parts=[part(made, blocks)])


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([10.0], [500.0], [True, True, True]),
        ([10.1], [500.0], [False, True, True]),
        ([10.0] * 9 + [2000.0], [500.0], [True, False, False]),
        ([15.0] * 90 + [31.0] * 10, [900.0], [True, True, False]),
        ([15.1], [900.0], [True, True, False]),
    ],
)
def test_targets_of_dispatch(ours: list[float], theirs: list[float], expected: list[bool]) -> None:
    """Our median may be a fiftieth of theirs and our p99 a fifth of it, and no more; and each has a limit of its own."""
    made = figures("dispatch", [block(OURS, ours), block(PLAIN_QUEUE, theirs)])
    assert [figure.met for figure in made if figure.target] == expected


def test_blocks_that_are_not_valid() -> None:
    """A block that is not valid does not count, is told of, and without a valid one nothing was measured."""
    bad = block(OURS, [900.0], "3 retransmissions")
    made = figures("dispatch", [block(OURS, [1.0]), bad, block(PLAIN_QUEUE, [500.0])])
    assert made[1].summary is not None
    assert (made[1].summary.n, "3 retransmissions" in made[1].notes[0]) == (1, True)
    assert not any(
        figure.measured for figure in figures("d", [bad, block(PLAIN_QUEUE, [1.0])]) if figure.target
    )


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ([Figure(name="a", met=True), Figure(name="b")], 0),
        ([Figure(name="a", met=True), Figure(name="b", met=False)], 1),
        ([Figure(name="a", met=False), unmeasured("b", "t", "why")], 1),
        ([Figure(name="a", met=True), unmeasured("b", "t", "why")], 3),
        ([Figure(name="a", met=True, small=True)], 3),
    ],
)
def test_exit_status(made: list[Figure], expected: int) -> None:
    """Met is 0, missed 1 before all else, and not measured or measured on too little is never met."""
    assert report(made).exit_status == expected


@pytest.mark.parametrize(
    ("n", "ordered", "expected"),
    [(300, 300, (True, True, False)), (299, 300, (None, False, False)), (60, 60, (True, True, True))],
)
def test_too_few_samples(n: int, ordered: int, expected: tuple[bool | None, bool, bool]) -> None:
    """On fewer than 300 samples a figure is not measured; where fewer were ordered, it is marked."""
    figure = figures("dispatch", [block(OURS, [1.0] * n), block(PLAIN_QUEUE, [500.0])])[1]
    found = sized(figure, 300, ordered)
    assert (found.met, found.measured, found.small) == expected


def test_small_is_shown() -> None:
    """The table says when a target was met on few samples only."""
    console = Console(width=120)
    with console.capture() as shown:
        console.print(table([Figure(name="a", met=True, small=True)]))
    assert "met (n small)" in shown.get()


def test_a_stall_does_not_hide_itself() -> None:
    """Our tail counts blocks with retransmissions only, and no block with another fault."""
    stalled = replace(block(OURS, [2000.0], "1 retransmissions"), retransmissions=1)
    lost = replace(block(OURS, [9000.0], "1 retransmissions, the clock stepped"), retransmissions=1)
    made = figures("dispatch", [block(OURS, [1.0]), stalled, lost, block(PLAIN_QUEUE, [500.0])])
    assert (made[1].met, made[2].met) == (True, False)
    assert (made[2].summary and made[2].summary.maximum, made[2].notes) == (
        2000.0,
        ["over 2 blocks of ours, 1 of them with retransmissions only"],
    )


@pytest.mark.parametrize(("even", "expected"), [(1.0, (True, True)), (2.0, (None, False))])
def test_doubtful_rig(even: float, expected: tuple[bool | None, bool]) -> None:
    """Where our own blocks differ from each other, the rows of the population are not measured."""
    ours = [block(OURS, [value]) for value in (1.0, even) * 3]
    made = figures("dispatch", [*ours, block(PLAIN_QUEUE, [500.0])])
    assert {(row.met, row.measured) for row in made if row.target} == {expected}
    assert ("rig doubtful" in made[1].notes[0] if made[1].notes else False) is not expected[1]


def test_answers_left_out() -> None:
    """A fact's row says how many answers a hang-up crossed."""
    made = _figure(Comparison(kind="OfferAnswered", errors=[1.0], crossed=3), [])
    assert "3 answers left out because a hang-up crossed them within 50 ms" in made.notes[1]


def test_default_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A result is kept below the user's state folder, named by the time in UTC, in a folder made for it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    file = default_file("bench")
    report([]).write(file)
    assert file.parent == tmp_path / "edge101" / "bench"
    assert file.stat().st_mode & 0o077 == 0, "for its owner alone, as every result"
    made = datetime.strptime(file.stem, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - made).total_seconds()) < 60


def test_document(tmp_path: Path) -> None:
    """The JSON document has a schema version and reads back as what was written."""
    written = report(figures("dispatch", [block(OURS, [1.0, 2.0]), block(PLAIN_QUEUE, [500.0])]))
    written.write(tmp_path / "bench.json")
    raw = (tmp_path / "bench.json").read_bytes()
    assert msgspec.json.decode(raw)["schema_version"] == 3
    assert Report.read(tmp_path / "bench.json") == written


@pytest.mark.parametrize(
    ("samples", "met"),
    [([50.0] * 20, True), ([10.0] * 90 + [50.2] * 10, False), ([10.0] * 99 + [900.0], True)],
)
def test_target_of_a_tail(samples: list[float], met: bool) -> None:
    """The p95 may be as much and no more; what comes once in a hundred does not count."""
    assert cap_tail("f", OURS, [block(OURS, samples)], 50.0).met is met


def test_no_valid_block_is_not_measured() -> None:
    """And says why."""
    made = cap_tail("f", OURS, [block(OURS, [1.0], "3 retransmissions")], 50.0)
    assert (made.measured, made.met, report([made]).exit_status) == (False, None, 3)
    assert "3 retransmissions" in made.notes[0]


def test_place_errors_are_counted_and_none_may_be() -> None:
    """One is enough to fail, and nothing looked at is not a pass."""
    good, bad, none = (
        count_errors("f", OURS, errors, n, "place errors") for errors, n in (([], 9), ([4], 9), ([], 0))
    )
    assert [report([made]).exit_status for made in (good, bad, none)] == [0, 1, 3]
    assert bad.notes == ["wrong: no. 4"]
    console = Console(width=120)
    with console.capture() as shown:
        console.print(table([good, bad]))
    assert "0 of 9" in shown.get() and "1 of 9" in shown.get()


def test_table() -> None:
    """Every figure has its row."""
    made = figures("dispatch", [block(OURS, [1.0]), block(PLAIN_QUEUE, [500.0])])
    assert table(made).row_count == len(made)


def test_numbers() -> None:
    """Callers' numbers differ also in what is compared of them, and thousands are enough for a run."""
    numbers = list(caller_numbers())
    assert len({comparable(number) for number in numbers}) == len(numbers) == 18_000


@pytest.mark.parametrize(
    ("one", "other"), [("07700900123", "+447700900123"), ("0113 496 0123", "00441134960123"), (None, "")]
)
def test_forms_of_a_number(one: str | None, other: str) -> None:
    """A number is the same in its national and its international form."""
    assert comparable(one) == comparable(other)


def test_machine_meters() -> None:
    """The meters read this machine and this process."""
    import os

    load, usage = LoadMeter().read(), usage_of(os.getpid())
    assert 0 <= load.steal_share <= 1
    assert usage.rss_mb > 1 and usage.cpu_seconds >= 0


def test_the_comparator_of_dispatch() -> None:
    """Alternating blocks, whichever app_queue it is; with its own times conversations last a whole period of them."""
    plan = Plan(name="d", line="l", waiting=1, agents=1, samples=4, plain_samples=2, rounds=2)
    slow = replace(plan, comparator=PLAIN_QUEUE_DEFAULTS)
    assert plan.order == (OURS, PLAIN_QUEUE, PLAIN_QUEUE, OURS) * 2
    assert slow.order == (OURS, PLAIN_QUEUE_DEFAULTS, PLAIN_QUEUE_DEFAULTS, OURS) * 2
    assert (plan.talk_seconds[1], slow.talk_seconds[1]) == (1.02, 5.02)
    blocks = [block(OURS, [10.0]), block(PLAIN_QUEUE_DEFAULTS, [500.0]), block(PLAIN_QUEUE, [1.0])]
    assert figures("d", blocks, PLAIN_QUEUE_DEFAULTS)[1].ratio == 1 / 50


def test_several_runs_are_one() -> None:
    """Each measurement once, the one that was named last; what only one run has is kept, and machines are not mixed."""
    first = Report(machine=MACHINE, parts=[part([Figure(name="a")], name="idle"), part([], name="order")])
    second = Report(machine=MACHINE, parts=[part([Figure(name="b")], name="idle"), part([], name="facts")])
    whole = merged([first, second])
    assert [each.name for each in whole.parts] == ["idle", "order", "facts"]
    assert [figure.name for figure in whole.figures] == ["b"]
    other = Report(machine=replace(MACHINE, cores=4), parts=[])
    with pytest.raises(ReportError, match="4 cores"):
        merged([first, other])


def test_the_commit_of_this_checkout() -> None:
    """As git tells it, or that nobody knows."""
    assert re.fullmatch(r"[0-9a-f]{7,40}\+?|not known", commit())
