"""What a proof of hwtest says: found, blamed rightly, false reds, and the page that is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hwtest.bench.machine import Load, Machine
from hwtest.cli import main
from hwtest.lab.contract import Address, Lab, Login, Pids
from hwtest.lab.faults import FAULTS, Fault
from hwtest.lab.packages import LabError
from hwtest.probes.contract import Layer, Verdict
from hwtest.probes.registry import all_probes
from hwtest.prove import command, document, results
from hwtest.prove.results import Blame, Clean, Proof, Seeded, UnreadableError

PAGE = Path(__file__).parents[2] / "docs/fault-finding.md"


def blame(layer: str, verdict: Verdict = Verdict.FAIL, code: str = "net.path.lost") -> Blame:
    """One finding."""
    return Blame(
        probe="net.path", code=code, layer=layer, verdict=verdict, summary=f"{layer} | is <b>bad</b>"
    )


def seeded(*blames: Blame, left: tuple[str, ...] = ()) -> Seeded:
    """A fault of the network's, and what was said."""
    return Seeded(
        fault="wet-cable",
        words="the cable is wet",
        layer="network",
        probes=("net.path",),
        blames=blames,
        looks_at=tuple(dict.fromkeys(each.layer for each in blames)),
        not_measured=(),
        found_seconds=3.0,
        whole_seconds=5.0,
        load_average=0.5,
        left=left,
    )


def clean(*reds: Blame, not_measured: tuple[str, ...] = ()) -> Clean:
    """A run without a fault."""
    return Clean(
        number=1,
        seed=1,
        verdict=Verdict.FAIL if reds else Verdict.PASS,
        seconds=30.0,
        load_average=0.5,
        reds=reds,
        warnings=(),
        not_measured=not_measured,
    )


def proof(faults: tuple[Seeded, ...] = (), runs: tuple[Clean, ...] = ()) -> Proof:
    """On a machine that is made up."""
    return Proof(
        hwtest_version="1",
        started_utc="2026-11-26T20:00:00Z",
        machine=Machine(processor="p", cores=2, memory_mb=1, kernel="k", python="3", asterisk="22"),
        load=Load(60.0, 0.5, 0.0, 0.5, 0.0),
        clean_probes=("quick",),
        seeded=faults,
        clean=runs,
    )


@pytest.mark.parametrize(
    ("made", "wrong"),
    [
        (proof((seeded(blame("network")),), (clean(),)), []),
        (proof((seeded(blame("network"), blame("record")),)), []),
        (proof((seeded(),)), ["wet-cable: not found"]),
        (
            proof((seeded(blame("daemon"), blame("network")),)),
            ["wet-cable: hwtest says to look at daemon, network, it is network"],
        ),
        (
            proof((seeded(blame("network"), left=("call.one.rejected: 404",)),)),
            ["after wet-cable: call.one.rejected: 404"],
        ),
        (proof(runs=(clean(blame("meter")),)), ["clean run 1: net.path.lost: meter | is <b>bad</b>"]),
        (
            proof(runs=(clean(not_measured=("net.path: no",)),)),
            ["clean run 1: not measured: net.path: no"],
        ),
    ],
)
def test_what_is_wrong(made: Proof, wrong: list[str]) -> None:
    """Not found, another layer first, left behind, a false red; what could not be measured is no clean run."""
    assert made.wrong == wrong


def test_who_found_it() -> None:
    """The gravest of those that blame the right layer; a warning only where nothing failed."""
    warning, failure = blame("network", Verdict.WARN, "a.b.warns"), blame("network", code="a.b.fails")
    assert seeded(blame("record"), warning, failure).finder == failure
    assert seeded(warning).finder == warning
    assert seeded(blame("record")).finder is None


def test_the_page_and_the_file(tmp_path: Path) -> None:
    """The file gives the same proof again, and the page is made of it alone; nothing in it breaks a table."""
    made = proof((seeded(blame("network")), seeded()), (clean(blame("meter")),))
    results.write(made, tmp_path / "proof.json")
    assert (tmp_path / "proof.json").stat().st_mode & 0o077 == 0
    done = CliRunner().invoke(
        main, ["prove", "--from", str(tmp_path / "proof.json"), "--document", str(tmp_path / "page.md")]
    )
    assert done.exit_code == 1, done.output
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert page == document.page(made)
    assert "1 of 2 found, 1 of 2 with the right layer named first" in page
    assert "1 runs of `quick`, each with other dice: 1 false reds" in page
    assert "network \\| is &lt;b>bad&lt;/b>" in page


def test_what_is_no_proof(tmp_path: Path) -> None:
    """It is said, and nothing is made of it."""
    file = tmp_path / "proof.json"
    with pytest.raises(UnreadableError, match="cannot be read"):
        results.read(file)
    file.write_text("{}")
    with pytest.raises(UnreadableError, match="is no result of `hwtest prove --json`"):
        results.read(file)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.name)
def test_each_fault_names_what_there_is(fault: Fault) -> None:
    """A layer of the contract, and probes that can blame it."""
    probes = {probe.name: probe for probe in all_probes()}
    layers = {told.layer for name in fault.found_by for told in probes[name].explanations}
    assert Layer(fault.layer) in layers


def test_the_page_in_the_documentation_has_every_fault() -> None:
    """Whoever adds a fault seeds it, and makes the page anew."""
    rows = PAGE.read_text(encoding="utf-8").splitlines()
    assert {name for name in FAULTS if not any(row.startswith(f"| {name} |") for row in rows)} == set()


LAB = Lab(
    sip=Address(host="127.0.0.1", port=1), callee=Address(host="127.0.0.1", port=1), lines={}, agents=(), codes={},
    ami=Login(host="127.0.0.1", port=1, user="u", password="p"), ari=Login(host="127.0.0.1", port=1, user="u", password="p"),
    pids=Pids(asterisk=1), commands={}, ledger="", directory="/nowhere", config="", asterisk_version="22",
    asterisk_directory="", started_ticks={},
)  # fmt: skip
FAULT = next(iter(FAULTS.values()))


def test_what_was_ended_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C at the first fault and at the second: what there is is kept, and the exit status is never 0."""
    answers = iter([seeded(blame("network"))])

    def seed(*_: object) -> Seeded:
        try:
            return next(answers)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(command, "seed", seed)
    kept = list[Proof]()
    for found in (1, 0):
        made = command._prove(LAB, (FAULT, FAULT), 1, ("quick",), kept.append)
        assert (made.interrupted, len(made.seeded), kept[-1]) == (True, found, made)
        assert command._show(made) == 3
        assert "Ended before it was done" in document.page(made)
    assert command._show(proof()) == 3, "nothing was looked at"
    assert command._show(proof((seeded(blame("network")),))) == 0


def test_a_clean_run_without_a_result_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no clean run, and half an hour of faults before it is kept."""

    def look(number: int, *_: object) -> Clean:
        if number == 1:
            raise LabError("it made no result")
        return clean()

    monkeypatch.setattr(command, "look", look)
    made = command._prove(LAB, (), 2, ("quick",), lambda _: None)
    assert made.wrong == ["clean run 1: not measured: it made no result"]
    assert (len(made.clean), made.interrupted) == (2, False)


def test_a_proof_of_another_schema_is_not_read(tmp_path: Path) -> None:
    """It is said which one is read."""
    file = tmp_path / "proof.json"
    file.write_text('{"schema_version": 99}')
    with pytest.raises(UnreadableError, match="has schema 99, this hwtest reads 1"):
        results.read(file)
