"""`hwtest watch` without a switch: what it says of a result, what it refuses, and its exit statuses."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from hwtest.cli import main
from hwtest.commands import watch
from hwtest.commands.watch import status_of
from hwtest.probes.contract import Evidence, Layer, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.report.result import ProbeResult
from hwtest.site import Site
from hwtest.watching import LONGEST_FIGURE, Round, checker, suitable, tell, words_of
from tests.probes.made import LIVE, made_probe

ALPHABET = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.:/+@#()'-]*|")


def result(verdict: Verdict, sheet: Sheet | None = None, reason: str | None = None) -> ProbeResult:
    """What a probe came to."""
    return ProbeResult(
        name="made.up",
        number=99,
        title="t",
        level="safe",
        term="t",
        reference="r",
        meaning="m",
        verdict=verdict,
        started_utc="2026-11-26T12:00:00Z",
        seconds=0.1,
        figures=tuple(sheet.figures) if sheet else (),
        findings=tuple(sheet.findings) if sheet else (),
        reason=reason,
    )


def test_what_is_said_of_a_result() -> None:
    """The first judged figure when all is well, whom to blame when it is not, and why nothing was measured."""
    good, bad = Sheet(made_probe()), Sheet(made_probe())
    good.value("aside", "ms", 1.0)
    good.share("lost", 0, 20)
    assert words_of(result(Verdict.PASS, good)) == "lost 0 percent"
    bad.find("made.up.bad", Verdict.WARN, "somewhat late")
    bad.find("made.up.bad", Verdict.FAIL, "not there at all", Evidence(text="x"))
    assert words_of(result(Verdict.FAIL, bad)) == f"{Layer.TRUNK.value}: not there at all"
    assert words_of(result(Verdict.NOT_MEASURED, reason="nobody answers SIP")) == "nobody answers SIP"
    assert words_of(result(Verdict.PASS)) == ""


def test_no_number_gets_into_a_fact() -> None:
    """It may be a person's."""
    said = words_of(result(Verdict.NOT_MEASURED, reason="the call to 07700900123 was refused"))
    assert "07700900123" not in said and said.startswith("the call to")


@given(st.text(max_size=300))
def test_only_what_may_go_through_the_switch(text: str) -> None:
    """Whatever a lying target has said: its alphabet, and not too long."""
    said = suitable(text)
    assert ALPHABET.fullmatch(said) and len(said) <= LONGEST_FIGURE and said == said.strip()


def test_who_checks() -> None:
    """The program, its user and its machine."""
    assert checker().startswith("hwtest ") and ALPHABET.fullmatch(checker())


@pytest.mark.parametrize(
    ("verdicts", "trouble", "status"),
    [
        ([Verdict.PASS, Verdict.PASS], None, 0),
        ([Verdict.PASS, Verdict.WARN], None, 1),
        ([Verdict.NOT_MEASURED, Verdict.FAIL], None, 2),
        ([Verdict.PASS], "the daemon has not recorded it", 3),
        ([Verdict.FAIL], "the daemon has not recorded it", 2),
    ],
)
def test_exit_statuses(verdicts: list[Verdict], trouble: str | None, status: int) -> None:
    """What is not in the record is not done."""
    made = Round(results=tuple(result(verdict) for verdict in verdicts), trouble=trouble, seen=False)
    assert status_of(made) == status


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--every", "5"), "not in the range x>=60"),
        (("--target", "/nowhere/lab.json"), "No lab is up in /nowhere"),
        (("--probe", "nothing.here"), "There is no probe 'nothing.here'"),
    ],
)
def test_what_it_refuses(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """3, and why; nothing is called."""
    ended = CliRunner().invoke(main, ["watch", "--target", str(tmp_path), *arguments])
    assert (ended.exit_code, said in ended.output) == (3, True), ended.output


async def test_the_ledger_is_closed_whatever_becomes_of_the_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watch goes on for months, and a control link may be down for a night of it."""
    closed = list[bool]()

    class Reader:
        """A ledger that only counts."""

        def last_sequence(self) -> int:
            """Nothing yet."""
            return 0

        def close(self) -> None:
            """It is closed."""
            closed.append(True)

    monkeypatch.setattr("edge.ledger.store.open_reader", lambda _: Reader())
    async with Site(replace(LIVE, ledger="sqlite:///x"), tmp_path) as site:
        told = await tell(site, [result(Verdict.PASS)])
    assert told == ("an appliance gives no AMI account", False)
    assert closed == [True]


async def test_rounds_share_the_minute_and_a_bad_one_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A live target takes six calls a minute from all rounds together; after a full disk there is another round."""
    seen = list[object]()

    async def round_of(*arguments: object) -> Round:
        seen.append(arguments[-1])
        match len(seen):
            case 1:
                raise OSError(28, "No space left on device")
            case 2:
                raise ZeroDivisionError("a fault of ours")
        return Round(results=(result(Verdict.PASS),), trouble=None, interrupted=len(seen) == 4, seen=True)

    monkeypatch.setattr(watch, "round_of", round_of)
    monkeypatch.setattr(watch, "open_target", lambda _: LIVE)
    assert await watch._watch(Path("x"), [], 0, 1) == 0
    assert len(seen) == 4 and all(each is seen[0] for each in seen)


async def test_a_signal_between_the_probes_and_the_record_ends_the_watch_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """3 and a line, no stack trace."""
    telling = asyncio.Event()

    async def round_of(*_: object) -> Round:
        telling.set()
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(watch, "round_of", round_of)
    monkeypatch.setattr(watch, "open_target", lambda _: LIVE)
    task = asyncio.create_task(watch._watch(Path("x"), [], 60, 1))
    await telling.wait()
    task.cancel()
    assert await task == 3
