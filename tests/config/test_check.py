"""`edge check` on the switch's own files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dialplans.asterisk import generate, write
from edge.config import load
from edge.config.check import capabilities, check
from edge.config.findings import Level
from edge.config.languages import manifest

Site = Callable[[], tuple[Path, Path]]


@pytest.fixture
def site(written: Callable[[str], Path], good: str, tmp_path: Path) -> tuple[Path, Path]:
    """A configuration and an /etc/asterisk that belongs to it."""
    path, directory = written(good), tmp_path / "asterisk"
    configuration = load(path)
    write(generate(configuration, configuration.switch.version_numbers), directory)
    recorded = ("cel", "cel_custom", "cdr", "cdr_custom")
    for name in ("extensions", "queues", "manager", "ari", "http", "musiconhold", *recorded):
        (directory / f"{name}.conf").write_text(f"#include edge101-{name}.conf\n")
    (directory / "pjsip.conf").write_text('#include "edge101-pjsip-global.conf"\n[udp]\ntype=transport\n')
    return path, directory


def test_nothing_to_find(site: tuple[Path, Path]) -> None:
    """Generated and included as the README says: no findings."""
    assert check(*site) == []


DEFINITIONS = """
[demand]
failure_codes = ["chasing"]
[metric.ours]
version = 1
measure = "volume"
title = "Ours"
meaning = "Those that we want."
queues = ["public", "pubic"]
lines = ["public"]
"""


def test_definitions_of_figures_are_looked_at_too(site: tuple[Path, Path]) -> None:
    """Those beside the configuration: names that it does not have are a warning, what `edge mi` would refuse is an error."""
    file = site[0].parent / "metrics.toml"
    file.write_text(DEFINITIONS, encoding="utf-8")
    queue, code = check(site[0])
    assert (queue.level, queue.where) == (Level.WARNING, f"{file}:9: metric.ours.queues")
    assert queue.problem == "pubic is no queue of the configuration"
    assert "Did you mean public?" in queue.mend
    assert (code.level, code.where) == (Level.WARNING, f"{file}:3: demand.failure_codes")
    file.write_text(DEFINITIONS.replace("version = 1", "version = 0"), encoding="utf-8")
    (refused,) = check(site[0])
    assert (refused.level, refused.where) == (Level.ERROR, f"{file}:5: metric.ours.version")
    assert refused.mend == "Write a whole number of at least 1."


SPOILED = [
    # file, its new content, key, part of problem or mend
    ("http.conf", "[general]\nenabled=yes\nbindaddr=127.0.0.1\n", "sessionlimit", "sessionlimit = 500"),
    ("http.conf", "[general]\nenabled=yes\nsessionlimit=500\n", "bindaddr", "from outside"),
    ("http.conf", "[general]\nbindaddr=127.0.0.1\nsessionlimit=500 ; enough\n", "enabled", "enabled = yes"),
    ("http.conf", "[general]\n#include edge101-http.conf\n", "sessionlimit", "sessionlimit = 500"),
    ("ari.conf", "[general]\n", "websocket_write_timeout", "websocket_write_timeout = 1000"),
    (
        "manager.conf",
        "[general]\nenabled=yes\nbindaddr=127.0.0.1\n",
        "timestampevents",
        "timestampevents = yes",
    ),
    (
        "manager.conf",
        "[general]\nenabled=yes\nbindaddr=0.0.0.0\ntimestampevents=yes\n",
        "bindaddr",
        "bindaddr = 127.0.0.1",
    ),
    (
        "manager.conf",
        "#include edge101-manager.conf\n[other]\nsecret=x\n",
        "writetimeout",
        "writetimeout = 5000",
    ),
    ("queues.conf", "[general]\npersistentmembers=no\n", "persistentmembers", "persistentmembers = yes"),
    (
        "pjsip.conf",
        "[x]\ntype=global\nendpoint_identifier_order=username\n",
        "taskprocessor_overload_trigger",
        "stuck",
    ),
    ("pjsip.conf", "[x]\ntype=global\ntaskprocessor_overload_trigger=pjsip_only\n", "", "x"),
    (
        "pjsip.conf",
        "#include edge101-pjsip-global.conf\n[x]\ntype=global\n",
        "pjsip.conf:2",
        "second section",
    ),
    ("extensions.conf", "[globals]\nA=1\n#include edge101-extensions.conf\n", "[globals]", "EDGE_CONFIG"),
    (
        "edge101-extensions.conf",
        "; old\n[globals]\nEDGE_CONFIG=x\n",
        "edge101-extensions.conf",
        "does not belong",
    ),
]


@pytest.mark.parametrize(("file", "content", "key", "words"), SPOILED)
def test_what_the_design_needs(
    site: tuple[Path, Path], file: str, content: str, key: str, words: str
) -> None:
    """Each setting that is absent or wrong gives a finding with its place and the line that mends it."""
    path, directory = site
    if words == "x":
        content += "endpoint_identifier_order=ip,username\n"
        key, words = "endpoint_identifier_order", "does not begin with username"
    (directory / file).write_text(content)
    found = [finding for finding in check(path, directory) if key in finding.where and words in str(finding)]
    assert len(found) == 1
    assert file in found[0].where


def test_files_that_are_not_there(site: tuple[Path, Path], tmp_path: Path) -> None:
    """An empty directory gives findings, not a traceback."""
    (tmp_path / "empty").mkdir()
    problems = {finding.where.rsplit("/", 1)[-1] for finding in check(site[0], tmp_path / "empty")}
    assert {
        "http.conf",
        "ari.conf",
        "manager.conf",
        "queues.conf",
        "pjsip.conf",
        "extensions.conf",
    } <= problems
    assert "edge101-extensions.conf" in problems


def test_another_configuration(site: tuple[Path, Path], good: str) -> None:
    """A dialplan of another configuration is seen in every generated file."""
    path, directory = site
    path.write_text(good.replace('"Room"', '"Hall"'))
    assert len([f for f in check(path, directory) if "does not belong" in f.problem]) == 11


def test_the_switch_is_checked_whatever_our_file_says(site: tuple[Path, Path]) -> None:
    """A broken configuration does not hide what is wrong with the switch."""
    path, directory = site
    path.write_text("[site")
    (directory / "http.conf").write_text("[general]\n")
    found = [str(finding) for finding in check(path, directory)]
    assert any("is not TOML" in line for line in found)
    assert any("sessionlimit" in line for line in found)


def sounds(directory: Path, *names: str) -> None:
    """An asterisk.conf that says where its sounds are, and these there, by language and prompt."""
    (directory / "asterisk.conf").write_text(f"[directories]\nastdatadir => {directory}/data\n")
    for name in names:
        file = directory / "data/sounds" / f"{name}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def test_sounds_that_are_all_there(site: tuple[Path, Path]) -> None:
    """In the folder of the language, or, for the first, in the one of none."""
    sounds(site[1], *(f"en/edge/{name}" if name > "m" else f"edge/{name}" for name in manifest()))
    assert check(*site) == []


def test_sounds_that_are_missing(site: tuple[Path, Path], good: str) -> None:
    """Each language that callers may hear is looked through: what it lacks is named with its folder."""
    path, directory = site
    welsh = '[line.w]\nnumber = "1"\ntier = "101"\nqueue = "public"\nlanguage = "cy"\n'
    path.write_text(good + welsh)
    sounds(
        directory,
        *(f"en/edge/{name}" for name in manifest()),
        *(f"cy/edge/{name}" for name in manifest() if name != "full"),
    )
    found = [f for f in check(path, directory) if "has no sound" in f.problem]
    assert [(f.where, f.problem.split(": ")[1]) for f in found] == [
        (str(directory / "data/sounds/cy/edge"), "full")
    ]


def test_a_prompt_of_the_site_s_own_needs_its_sound(site: tuple[Path, Path], good: str) -> None:
    """It stands in no manifest: only the folder can tell."""
    path, directory = site
    path.write_text(good.replace("greeting-101", "own-greeting"))
    sounds(directory, *(f"en/edge/{name}" for name in manifest()))
    assert [f.problem.split(": ")[1] for f in check(path, directory) if "has no sound" in f.problem] == [
        "own-greeting"
    ]


def test_a_template_says_nothing_of_the_sounds(site: tuple[Path, Path]) -> None:
    """As Debian ships it: [directories](!) counts for nothing, and the folder is not known."""
    (site[1] / "asterisk.conf").write_text("[directories](!)\nastdatadir => /nowhere\n")
    assert check(*site) == []


@pytest.mark.parametrize(
    ("modules", "missing"),
    [
        ("[modules]\nautoload=yes\n", []),
        ("[modules]\nautoload = yes\nnoload => func_module.so\n", ["func_module"]),
        (
            "[modules]\nautoload=no\nload = app_stasis_broadcast.so\nload => res_stasis_broadcast.so\n",
            ["func_module"],
        ),
        ("[modules]\n", ["app_stasis_broadcast", "res_stasis_broadcast", "func_module"]),
    ],
)
def test_modules_that_notice_a_hung_daemon(site: tuple[Path, Path], modules: str, missing: list[str]) -> None:
    """What the dialplan asks who takes a caller with is loaded."""
    path, directory = site
    (directory / "modules.conf").write_text(modules)
    found = [finding.where.rpartition(" ")[2] for finding in check(path, directory)]
    assert [module for module in found if module not in ("cel_custom", "cdr_custom", "func_cdr")] == missing


def test_a_switch_that_keeps_no_record(site: tuple[Path, Path], good: str, tmp_path: Path) -> None:
    """Without its files, modules or folders nothing is known of a gap afterwards: a warning each; none where it is not wanted."""
    path, directory = site
    logs = tmp_path / "log"
    (logs / "cel-custom").mkdir(parents=True)
    path.write_text(good.replace("[switch.ari]", f'[switch]\nlog_directory = "{logs}"\n[switch.ari]', 1))
    configuration = load(path)
    write(generate(configuration, configuration.switch.version_numbers), directory)
    (directory / "cel.conf").write_text("[general]\nenable = no\n")
    (directory / "cdr_custom.conf").unlink()
    (directory / "modules.conf").write_text("[modules]\nautoload = yes\nnoload = cel_custom.so\n")
    found = check(path, directory)
    assert {finding.level for finding in found} == {Level.WARNING}
    assert sorted(finding.where.removeprefix(str(tmp_path)) for finding in found) == [
        "/asterisk/cdr_custom.conf: [mappings] edge101.csv",
        "/asterisk/cel.conf: [general] enable",
        "/asterisk/modules.conf: cel_custom",
        "/log/cdr-custom",
    ]
    path.write_text(good.replace("[switch.ari]", "[switch]\nkeeps_record = false\n[switch.ari]", 1))
    configuration = load(path)
    write(generate(configuration, configuration.switch.version_numbers), directory)
    assert check(path, directory) == []


def test_what_the_switch_can(site: tuple[Path, Path], good: str, written: Callable[[str], Path]) -> None:
    """By its version, and whether the rescuer has an account."""
    can = capabilities(site[0])
    assert can is not None
    assert (can.version, can.claims_callers, can.rescue) == ("22.10", True, False)
    account = '[switch.rescue]\npassword_file = "rescue.password"\n[switch.ari]'
    old = capabilities(written(good.replace("[switch.ari]", f'[switch]\nversion = "22.9"\n{account}', 1)))
    assert old is not None
    assert (old.claims_callers, old.answers_at_once, old.rescue) == (False, True, True)
    assert capabilities(written("nothing = 1")) is None


def test_the_rescuers_account_is_its_own(good: str, written: Callable[[str], Path]) -> None:
    """The daemon's has more rights."""
    account = '[switch.rescue]\nuser = "edge101"\npassword_file = "rescue.password"\n[switch.ari]'
    [finding] = check(written(good.replace("[switch.ari]", account, 1)))
    assert "switch.rescue.user" in finding.where
