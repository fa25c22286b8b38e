"""The page of a result: the same from the same file, its numbers in their places, and nothing met that was not measured."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from hwtest.bench.command import command
from hwtest.bench.dispatch import figures
from hwtest.bench.document import page, result
from hwtest.bench.plan import NUMBERS, PLAN, chosen, number_of
from hwtest.bench.report import Report
from hwtest.bench.results import Figure, Outcome, unmeasured
from hwtest.bench.rig import OURS, PLAIN_QUEUE
from hwtest.bench.run import NAMES, measurements, numbered
from tests.bench.test_report import MACHINE, block, part

B1 = PLAN[0]


def made() -> Report:
    """A run of dispatch with one block that is not valid, of a kind of fact, and of the figures of a month."""
    blocks = [block(OURS, [9.25]), block(OURS, [900.0], "3 retransmissions"), block(PLAIN_QUEUE, [500.0])]
    dispatch = numbered("dispatch-20", Outcome(figures("dispatch", blocks), blocks))
    facts = numbered("facts", Outcome([unmeasured("fact time", "p99 | <= 20", "no <ledger>\n\x1bat all")]))
    log = numbered(
        "journal", Outcome([Figure(name="log", unit="facts/s", value=14285, target="t", met=True)])
    )
    months = numbered(
        "report", Outcome([Figure(name="a month", unit="s", value=2.5, target="<= 10 s", met=True)])
    )
    return Report(
        machine=MACHINE,
        parts=[
            part(dispatch.figures, dispatch.blocks, "dispatch-20"),
            part(facts.figures, name="facts"),
            part(log.figures, name="journal"),
            part(months.figures, name="report"),
        ],
    )


def rows(text: str, first: str) -> list[list[str]]:
    """Cells of the rows that begin so."""
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith(f"| {first} |")]


def test_the_same_file_gives_the_same_page(tmp_path: Path) -> None:
    """By way of the JSON and by the command, byte for byte."""
    file, one, other = tmp_path / "result.json", tmp_path / "a" / "one.md", tmp_path / "other.md"
    made().write(file)
    for target in (one, other):
        done = CliRunner().invoke(command, ["--document", str(target), "--from", str(file)])
        assert done.exit_code == made().exit_status == 3, done.output
    assert one.read_text(encoding="utf-8") == other.read_text(encoding="utf-8") == page(made())


def test_numbers_are_where_they_belong() -> None:
    """A row has its figures, its ratio, its target and its verdict; a block that is not valid is told of."""
    text = page(made())
    ours = next(row for row in rows(text, "dispatch") if row[1] == OURS)
    assert ours[2:7] == ["1", "9.2", "9.2", "9.2", "9.2"]
    assert ours[7].startswith("1/54") and ours[8:10] == ["p50 <= 1/50 of plain_queue", "met"]
    assert ours[10:] == ["2026-01-01 02:03:04", "abcdef1", "0.0 to 0.5"]
    assert rows(text, "a month")[0][3] == "2.5 s"
    assert rows(text, "log")[0][3] == "14285 facts/s"
    assert rows(text, "B1")[0][4:] == [
        result(B1, [f for f in made().figures if f.benchmark == "B1"], B1.measurements[1:]),
        "1 of 3",
        "2026-01-01 02:03:04",
        "abcdef1",
        "0.0 to 0.5",
    ]
    assert rows(text, "B1")[1][3:5] == ["2", "1: 3 retransmissions"]


def test_what_a_run_does_not_have_is_not_measured() -> None:
    """Every number of the plan has its line, and without a row in the run it says so."""
    text = page(made())
    for benchmark in PLAN:
        (line,) = [row for row in rows(text, benchmark.number) if row[1] == benchmark.title]
        assert line[4].startswith("not measured") is (benchmark.number not in {"B1", "B8"}), line
    assert "not measured in 1 of 1 rows" in rows(text, "B4")[0][4]


def test_texts_cannot_break_the_table() -> None:
    """A bar, a tag or a line break in a text stays in its cell."""
    (row,) = rows(page(made()), "fact time")
    assert row[8:10] == ["p99 \\| <= 20", "not measured"]
    assert "- fact time: no &lt;ledger> \\x1bat all" in page(made())


@pytest.mark.parametrize(
    ("rows_of_it", "expected"),
    [
        ([], "not measured: not in this run"),
        ([Figure(name="a", target="t", met=True)], "met"),
        ([Figure(name="a", target="t", met=True, small=True)], "met (n small)"),
        ([Figure(name="a", target="t", met=True), unmeasured("b", "t", "w")], "not measured in 1 of 2 rows"),
        (
            [Figure(name="a", target="t", met=False), unmeasured("b", "t", "w")],
            "NOT MET in 1 of 2 rows, not measured in 1",
        ),
    ],
)
def test_result_in_a_word(rows_of_it: list[Figure], expected: str) -> None:
    """The gravest row decides; nothing is met by its neighbours."""
    assert result(replace(B1, lacking=""), rows_of_it) == expected


def test_lacking_is_said_beside_met() -> None:
    """Who has measured a part only is not let off the rest."""
    met = [Figure(name="a", target="t", met=True)]
    assert result(replace(B1, lacking="the rest"), met) == "met; lacking: the rest"


def test_a_part_that_was_not_measured_is_said_beside_met() -> None:
    """Who has run one of several measurements is not let off the others."""
    met = [Figure(name="a", target="t", met=True)]
    assert result(replace(B1, lacking=""), met, ["idle"]) == "met, but not in this run: idle"
    (line,) = [row for row in rows(page(made()), "B1") if row[1] == B1.title]
    assert "not in this run: dispatch-200, announcement, one-agent, defaults" in line[4]


def test_every_number_of_the_plan_is_measured_or_says_why_not() -> None:
    """And every measurement that the plan names is there."""
    names = {measurement.name for measurement in measurements(60)}
    assert names == set(NAMES)
    for benchmark in PLAN:
        assert benchmark.measurements or benchmark.lacking
        assert set(benchmark.measurements) <= names, benchmark.number


def test_rows_that_could_not_be_measured_have_their_numbers_too() -> None:
    """What a measurement says when it fails stands under the same number, for each that it gives."""
    for measurement in measurements(60):
        found = {number_of(measurement.name, figure.name) for figure in measurement.not_measured("why")}
        wanted = {benchmark.number for benchmark in PLAN if measurement.name in benchmark.measurements} or {
            ""
        }
        assert found == wanted, measurement.name


def test_choosing_by_number() -> None:
    """A number stands for its measurements, and no choice for all."""
    assert [name for name in NAMES if chosen(name, ["B9"])] == ["pull", "beside"]
    assert all(chosen(name, []) for name in NAMES)
    assert all(any(chosen(name, [number]) for name in NAMES) for number in NUMBERS)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        ("{}", "is no result of hwtest bench"),
        ("not JSON", "is no result of hwtest bench"),
        ('{"schema_version": 1, "figures": []}', "schema version 1, 3 is needed"),
        ('{"schema_version": 3, "figures": []}', "is no result of hwtest bench"),
    ],
)
def test_a_file_that_is_no_result(tmp_path: Path, content: str | None, says: str) -> None:
    """Says what is wrong with which file and how to get one, and leaves the page that is there."""
    file, target = tmp_path / "result.json", tmp_path / "page.md"
    target.write_text("as it was", encoding="utf-8")
    if content is not None:
        file.write_text(content, encoding="utf-8")
    done = CliRunner().invoke(command, ["--document", str(target), "--from", str(file)])
    assert done.exit_code == 3
    assert says in done.output and str(file) in done.output and "hwtest bench --json" in done.output
    assert target.read_text(encoding="utf-8") == "as it was"


def test_several_files_make_one_page(tmp_path: Path) -> None:
    """What is named later counts, and says when and of which commit it was."""
    old, new, target = tmp_path / "old.json", tmp_path / "new.json", tmp_path / "page.md"
    made().write(old)
    later = part([Figure(name="log", unit="facts/s", value=20001, target="t", met=True, benchmark="B8")])
    later = msgspec.structs.replace(
        later, name="journal", started_utc="2026-02-01T00:00:00Z", commit="1234567+"
    )
    Report(machine=MACHINE, parts=[later]).write(new)
    done = CliRunner().invoke(command, ["--document", str(target), "--from", str(old), str(new)])
    assert (done.exit_code, "written to" in done.output) == (3, True), done.output
    (log,) = rows(target.read_text(encoding="utf-8"), "log")
    assert (log[3], log[10:12]) == ("20001 facts/s", ["2026-02-01 00:00:00", "1234567+"])
    assert rows(target.read_text(encoding="utf-8"), "dispatch")


def test_a_stray_file_is_wrong_usage(tmp_path: Path) -> None:
    """Nothing is measured because somebody forgot --from."""
    done = CliRunner().invoke(command, [str(tmp_path / "x.json")])
    assert done.exit_code == 2 and "--from FILE" in done.output


def test_from_without_a_page(tmp_path: Path) -> None:
    """What stands in a result is shown again, and nothing is measured."""
    file = tmp_path / "result.json"
    made().write(file)
    done = CliRunner().invoke(command, ["--from", str(file)])
    assert done.exit_code == 3 and "dispatch" in done.output and "not measured" in done.output
