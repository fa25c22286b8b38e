"""What of the lab needs no Asterisk."""

from pathlib import Path

import msgspec
import pytest

from hwtest.lab import stack
from hwtest.lab.asterisk import AsteriskProcess
from hwtest.lab.contract import Address, Lab, LabAgent, Login, Pids
from hwtest.lab.packages import LabError

DEAD = 2**22 - 1
"""A process id that is hardly in use, with a start time that nothing has."""


def description(directory: Path) -> Lab:
    login = Login(host="127.0.0.1", port=26038, user="hwtest", password="secret")
    return Lab(
        sip=Address(host="127.0.0.1", port=26060),
        callee=Address(host="127.0.0.1", port=26070),
        lines={"101": "101"},
        agents=(
            LabAgent(
                user="agent1",
                password="p",
                registrar="127.0.0.1:26060",
                number="4001",
                pin="1234",
                skills=("101",),
            ),
        ),
        codes={"sign_in": "*22"},
        ami=login,
        ari=login,
        pids=Pids(asterisk=DEAD, edge=DEAD),
        commands={"edge": ("edge", "run")},
        ledger="sqlite:///x",
        directory=str(directory),
        config="x",
        asterisk_version="22.10.1",
        asterisk_directory=str(directory / "asterisk"),
        started_ticks={"asterisk": 1, "edge": 1},
    )


def test_lab_json_has_the_keys_of_the_contract_and_is_for_its_owner_only(tmp_path: Path) -> None:
    """Other tools read it, and it holds passwords."""
    description(tmp_path).write()
    file = tmp_path / "lab.json"
    content = msgspec.json.decode(file.read_bytes())
    wanted = {"sip", "callee", "lines", "agents", "codes", "ami", "ari", "pids", "commands", "ledger", "mi"}
    assert wanted <= content.keys()
    assert content["mi"] == {"url": None, "token": None}
    assert content["pids"]["mi"] is None
    assert file.stat().st_mode & 0o077 == 0
    assert Lab.read(tmp_path) == description(tmp_path)


def test_a_stale_lab_json_is_recognised(tmp_path: Path) -> None:
    """It tells of processes that are no more."""
    description(tmp_path).write()
    found = stack.status(tmp_path)
    assert (found.up, found.stale) == (False, True)


def test_a_damaged_lab_json_is_explained(tmp_path: Path) -> None:
    """The message says what to do."""
    (tmp_path / "lab.json").write_text("{")
    with pytest.raises(LabError, match=r"damaged.*Remove it"):
        stack.status(tmp_path)


def test_down_where_nothing_is_changes_nothing(tmp_path: Path) -> None:
    """It is fine, and not a lab's folder afterwards either."""
    assert stack.down(tmp_path / "nowhere") is False
    assert list(tmp_path.iterdir()) == []


def test_down_removes_a_stale_lab_json(tmp_path: Path) -> None:
    """Nobody shall take the lab for running."""
    description(tmp_path).write()
    (tmp_path / "lab.lock").touch()
    assert stack.down(tmp_path) is False
    assert stack.status(tmp_path).lab is None


def test_a_folder_with_other_files_is_not_taken_for_a_lab(tmp_path: Path) -> None:
    """`up` clears its folder, so it must be a lab's."""
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(LabError, match="no lab's"):
        stack.up(stack.Wishes(directory=tmp_path), lambda _: None)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_folder_that_asterisk_s_files_could_not_name_is_refused(tmp_path: Path) -> None:
    """Spaces and semicolons have a meaning in Asterisk's files."""
    with pytest.raises(LabError, match="letters, digits"):
        stack.up(stack.Wishes(directory=tmp_path / "a; lab"), lambda _: None)


def test_registered_contacts_are_read_from_the_console() -> None:
    """The trunk's fixed contact and the heading are no phones."""
    shown = """
  Contact:  <Aor/ContactUri..............................> <Hash....> <Status> <RTT(ms)..>
==========================================================================================

  Contact:  agent1/sip:agent1@127.0.0.1:40001              8d6f6a3a3b NonQual         nan
  Contact:  callee/sip:127.0.0.1:26070                     2c1bd5a1f4 NonQual         nan

Objects found: 2
"""
    assert stack.parse_contacts(shown) == {"agent1": "sip:agent1@127.0.0.1:40001"}


def test_a_dead_surrogate_is_no_channel() -> None:
    """Only what Asterisk can never take off its list is left out; a surrogate that lives counts."""
    living = "Surrogate/PJSIP/agent1-0001!edge-phones!s!1!Up!Stasis!edge101!!!!3!1!!1.1"
    phone = "PJSIP/trunk-0002!edge-line-101!arrive!9!Up!Stasis!edge101!!!!3!1!!1.2"
    dead = "Surrogate/PJSIP/agent1-0003!edge-phones!s!1!Down!AppDial2!!!!!3!1!!1.3"

    assert stack.living_channels(f"{living}\n{dead}\n{phone}\n") == [living, phone]


def test_a_description_that_may_not_be_read_is_said(tmp_path: Path) -> None:
    """Another user's lab, or no folder at all: what is wrong, and no stack trace."""
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match="cannot be read"):
        Lab.read(tmp_path / "file")


def test_a_damaged_note_of_asterisk_is_said(tmp_path: Path) -> None:
    """A machine that was switched off in the middle of writing: which file, and how to go on."""
    (tmp_path / "asterisk.json").write_text('{"pid": 1')
    with pytest.raises(LabError, match=r"asterisk.json is damaged"):
        AsteriskProcess.attach(tmp_path)
