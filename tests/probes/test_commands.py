"""The commands: what they print, and their exit statuses, of which 2 means that something failed and never wrong usage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from edge.version import VERSION
from hwtest import doctor
from hwtest.cli import main
from hwtest.doctor import Ability
from hwtest.probes.contract import Need
from hwtest.probes.registry import all_probes
from hwtest.report import writing
from tests.probes.test_profile import GOOD


def hwtest(*arguments: str) -> Result:
    """One command."""
    return CliRunner().invoke(main, arguments)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept in the user's own folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_list() -> None:
    """Every probe with its number and its codes."""
    assert all(probe.name in hwtest("list").output for probe in all_probes())
    listed = json.loads(hwtest("list", "--json").output)
    assert [(entry["number"], entry["name"]) for entry in listed] == [
        (p.number, p.name) for p in all_probes()
    ]
    assert all(entry["codes"] for entry in listed)


def test_explain() -> None:
    """A probe and each of its findings; an unknown one says which is near."""
    for probe in all_probes():
        assert probe.meaning[:30] in hwtest("explain", probe.name).output
        for explanation in probe.explanations:
            told = hwtest("explain", explanation.code)
            assert (told.exit_code, explanation.mend[:30] in told.output) == (0, True)
    unknown = hwtest("explain", "sip.options.slo")
    assert (unknown.exit_code, "Did you mean sip.options.slow" in unknown.output) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run",), "Name a probe or a group"),
        (("run", "nothing.here"), "There is no probe 'nothing.here'"),
        (("run", "sip.options", "--sed"), "No such option"),
        (("run", "sip.options", "--seed", "x"), "not a valid integer"),
        (("quick", "--target", "/nowhere/lab.json"), "No lab is up in /nowhere"),
        (("quick", "--target", "/nowhere/a.toml"), "cannot be read"),
        (("compare", "/nowhere/a.json", "/nowhere/b.json"), "cannot be read"),
        (("compare", "/nowhere/a.json"), "Missing argument"),
        (("quick", "--target", "/nowhere/other.json"), "only by the name of lab.json"),
        (("quik",), "No such command 'quik'. Did you mean quick?"),
        (("frobnicate",), "No such command 'frobnicate'"),
        (("--nothing",), "No such option"),
        (("bench", "--only", "nothing"), "'nothing' is not one of"),
        (("bench", "--target", "/nowhere"), "No lab is up in /nowhere"),
        (("prove", "--only", "nothing"), "'nothing' is not one of"),
        (("prove", "--only", "sip-loss", "--no-faults"), "leave one of them out"),
        (("prove", "--target", "/nowhere/lab.json"), "No lab is up in /nowhere"),
        (("prove", "--json", "/dev/null/r.json"), "--json /dev/null/r.json: its folder cannot be made"),
        (("soak", "--for", "1"), "not in the range x>=10"),
        (("soak", "--for", "7200"), "36000 calls would come, and there are numbers for 17500"),
        (("soak", "--json", "/dev/null/r.json"), "--json /dev/null/r.json: its folder cannot be made"),
        (("shift", "--for", "1"), "not in the range x>=5"),
        (("quick", "--target", "/dev/null/lab.json"), "cannot be read"),
        ((), "Commands:"),
    ],
)
def test_wrong_usage_measures_nothing(arguments: tuple[str, ...], said: str) -> None:
    """3, with what is wrong; no stack trace."""
    result = hwtest(*arguments)
    assert (result.exit_code, said in result.output) == (3, True), result.output
    assert "Traceback" not in result.output


def test_a_profile_with_mistakes_has_a_line_for_each(tmp_path: Path) -> None:
    """And nothing is called."""
    file = tmp_path / "appliance.toml"
    file.write_text(GOOD.replace('number = "59 90"', 'number = "999"'))
    result = hwtest("quick", "--target", str(file))
    assert result.exit_code == 3
    lines = result.output.splitlines()
    assert all(line.startswith(f"hwtest: {file}:") for line in lines)
    assert any("emergency number" in line for line in lines) and any("secrets/ami" in line for line in lines)


def test_the_schema_is_printed() -> None:
    """It is JSON, and of a run."""
    schema = json.loads(hwtest("run", "--schema").output)
    assert schema["$ref"] == "#/$defs/Run"


def test_a_dry_run_says_what_would_run(tmp_path: Path) -> None:
    """On which target, of which kind."""
    for name in ("test1", "ami"):
        file = tmp_path / "secrets" / name
        file.parent.mkdir(exist_ok=True)
        file.touch(mode=0o600)
        file.write_text("word")
    profile = tmp_path / "appliance.toml"
    profile.write_text(GOOD)
    result = hwtest("run", "sip", "--dry-run", "--target", str(profile))
    assert (result.exit_code, result.output) == (0, "Example control room (live): sip.options sip.register\n")


def test_the_version_is_told() -> None:
    """For whoever reports a fault of it."""
    told = hwtest("--version")
    assert (told.exit_code, told.output) == (0, f"hwtest {VERSION}\n")


def test_what_was_written_is_said(tmp_path: Path) -> None:
    """Each file by its name, after the run; without any, nothing."""
    profile, report = tmp_path / "appliance.toml", tmp_path / "a.json"
    profile.write_text('[target]\nname = "a"\nkind = "live"\nsip = "127.0.0.1:1"\ncaller = "01632960111"\n')
    load = ("run", "load.burst", "--target", str(profile))  # refused on a live target: nothing is called
    assert f"written, readable by you alone: {report}" in hwtest(*load, "--json", str(report)).output
    assert report.is_file()
    assert "written" not in hwtest(*load).output


def test_what_is_missing_from_a_profile_is_said_in_plain_words(tmp_path: Path) -> None:
    """An empty file: nobody can guess what belongs to the top of it."""
    file = tmp_path / "appliance.toml"
    file.touch()
    said = hwtest("quick", "--target", str(file)).output
    assert said.startswith(f"hwtest: {file}:1: target: is missing. Add it to the file")


def test_compare_refuses_what_is_no_result(tmp_path: Path) -> None:
    """Each way in which a file may be none."""
    for content in ("", "{}", "[1]", '{"schema_version": 99}', '{"schema_version": 1}', "\x00"):
        (tmp_path / "a.json").write_text(content)
        result = hwtest("compare", str(tmp_path / "a.json"), str(tmp_path / "a.json"))
        assert result.exit_code == 3, content
        assert "Traceback" not in result.output and "a.json" in result.output


def test_doctor_names_the_command_that_mends(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the probes that cannot run; 1 when something is missing, 0 when nothing is."""
    there = Ability(name="cc", there=True, found="12.2.0", used_for="x", need=None, mend="")
    absent = Ability(
        name="raw socket",
        there=False,
        found="no CAP_NET_RAW",
        used_for="x",
        need=Need.CAPTURE,
        mend="sudo setcap",
    )
    monkeypatch.setattr(doctor, "_CHECKS", (lambda: there, lambda: absent))
    result = hwtest("doctor")
    assert (result.exit_code, "sudo setcap" in result.output, "meter.capture" in result.output) == (
        1,
        True,
        True,
    )
    told = json.loads(hwtest("doctor", "--json").output)
    assert [(ability["name"], ability["there"]) for ability in told] == [("cc", True), ("raw socket", False)]
    monkeypatch.setattr(doctor, "_CHECKS", (lambda: there,))
    assert hwtest("doctor").exit_code == 0


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyboardInterrupt(), "ended before it was done"),
        (
            RuntimeError("out of luck"),
            "a fault of hwtest itself, nothing was measured: RuntimeError at test_comm",
        ),
    ],
)
def test_what_ends_a_command_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, said: str
) -> None:
    """A person, or a fault of ours: 3, in a line, where 1 would say that something was measured."""

    def check() -> Ability:
        raise error

    monkeypatch.setattr(doctor, "_CHECKS", (check,))
    result = hwtest("doctor")
    assert (result.exit_code, said in result.output) == (3, True), result.output


def test_what_could_not_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the run, in a line, and nobody is told that it was written."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "write_private", full)
    profile = tmp_path / "appliance.toml"
    profile.write_text('[target]\nname = "a"\nkind = "live"\nsip = "127.0.0.1:1"\ncaller = "01632960111"\n')
    result = hwtest("run", "load.burst", "--target", str(profile), "--json", str(tmp_path / "a.json"))
    assert "a.json: is not written: No space left on device" in result.output
    assert (result.exit_code, "Traceback" in result.output, "readable by you" in result.output) == (
        3,
        False,
        False,
    )


def test_a_reader_who_has_gone_changes_no_verdict(tmp_path: Path) -> None:
    """`hwtest run ... | head`: the status is the run's own, and the files are there."""
    profile, report = tmp_path / "appliance.toml", tmp_path / "a.json"
    profile.write_text('[target]\nname = "a"\nkind = "live"\nsip = "127.0.0.1:1"\ncaller = "01632960111"\n')
    words = ("run", "load.burst", "--target", str(profile), "--json", str(report))
    reading, writing_end = os.pipe()
    os.close(reading)
    with os.fdopen(writing_end, "wb") as gone:
        ended = subprocess.run(
            (sys.executable, "-m", "hwtest", *words),
            stdout=gone,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (ended.returncode, report.is_file()) == (3, True), ended.stderr
    assert "Traceback" not in ended.stderr


def options(name: str) -> dict[str, set[str]]:
    """The spellings of each option of a command, by its longest."""
    command = main.get_command(click.Context(main), name)
    assert command is not None
    return {param.opts[0]: {*param.opts, *param.secondary_opts} for param in command.params}


def test_options_mean_the_same_everywhere() -> None:
    """What several commands have is spelt alike in each."""
    probing, long = ("run", "quick", "accept"), ("bench", "prove", "soak")
    assert all({"--json", "-j"} <= options(name)["--json"] for name in (*probing, *long))
    assert all(
        {"--target", "-t"} <= options(name)["--target"] for name in (*probing, "watch", "bench", "prove")
    )
    assert all(
        name in options(each) for name in ("--document", "--from", "--only") for each in ("bench", "prove")
    )
    assert all("--seed" in options(name) for name in (*probing, "watch", "soak", "shift"))
    assert all("--for" in options(name) for name in ("soak", "shift"))
    assert "--fault" in options("prove")["--only"], "as it was spelt before"
    assert all("--lab" in options(name)["--target"] for name in ("bench", "prove")), "as it was spelt before"


def test_doctor_looks_at_this_machine() -> None:
    """Every check ends, says what it found, and how to mend what it did not."""
    for ability in doctor.examine():
        assert ability.found and ability.used_for
        assert ability.there or ability.mend
