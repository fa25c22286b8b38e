"""The profile of an appliance: what is read from it, and what is said of everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwtest.lab.contract import Address
from hwtest.target import Kind, TargetError, open_target

GOOD = """\
[target]
name = "Example control room"
kind = "live"
sip = "127.0.0.1"
caller = "01632 960111"

[calls]
per_minute = 3

[line.test]
number = "59 90"
phone = "test1"

[line.heartbeat]
number = "9990"
looks_like_emergency = true

[phone.test1]
user = "test1"
password_file = "secrets/test1"

[trunk.bt]
sip = "127.0.0.2:5080"

[ami]
port = 5038
user = "hwtest"
password_file = "secrets/ami"

[thresholds."sip.options"]
round_trip = { passes = 20, warns = 100 }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the secrets that the profile names."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in ("test1", "ami"):
        (secrets / name).touch(mode=0o600)
        (secrets / name).write_text(f"word of {name}\n")
    return tmp_path


def profile(folder: Path, *changes: tuple[str, str]) -> Path:
    """The good one with some of its text replaced."""
    text = GOOD
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    file = folder / "appliance.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_good_profile(folder: Path) -> None:
    """Everything arrives, secrets from their files; what is not said has a safe default."""
    target = open_target(profile(folder))
    assert (target.kind, target.sip, target.is_lab) == (
        Kind.LIVE,
        Address(host="127.0.0.1", port=5060),
        False,
    )
    assert (target.calls.per_minute, target.calls.other_calls_at_most, target.calls.unseen) == (3, 0, False)
    assert target.phones["test1"].password == "word of test1"
    assert target.phones["test1"].registrar == "127.0.0.1:5060"
    assert target.ami is not None and target.ami.password == "word of ami"
    assert target.trunks == {"bt": Address(host="127.0.0.2", port=5080)}
    assert target.thresholds == {"sip.options": {"round_trip": (20.0, 100.0)}}
    assert target.test_line == ("test", target.lines["test"])
    assert "word of" not in repr(target.phones)


def test_our_own_address_is_the_one_on_the_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Phones on loopback reach no other machine, so a profile that does not give our address has that of the route."""
    assert open_target(profile(folder)).local_address == "127.0.0.1"
    monkeypatch.setattr("hwtest.profile.on_the_way_to", {"10.1.2.3": "10.1.2.9"}.__getitem__)
    elsewhere = ('sip = "127.0.0.1"', 'sip = "10.1.2.3:5070"')
    assert open_target(profile(folder, elsewhere)).local_address == "10.1.2.9"
    given = (elsewhere[0], f'{elsewhere[1]}\nlocal_address = "10.9.9.9"')
    assert open_target(profile(folder, given)).local_address == "10.9.9.9"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("per_minute = 3", "per_minute = 60", r"toml:8: calls\.per_minute: is not acceptable"),
        (
            "per_minute = 3",
            "perminute = 3",
            r"toml:8: calls\.perminute: unknown key\. Did you mean per_minute",
        ),
        ('kind = "live"', 'kind = "prod"', r"toml:3: target\.kind: is not acceptable.*'lab' or 'live'"),
        ('kind = "live"\n', "", r"target\.kind: is missing\. Add it to \[target\]"),
        ('sip = "127.0.0.1"', 'sip = "appliance:5060"', r"toml:4: target\.sip.*must be an IPv4 address"),
        ('sip = "127.0.0.1"', 'sip = "127.0.0.1:99999"', r"toml:4: target\.sip.*port from 1 to 65535"),
        ('number = "59 90"', 'number = "999"', r"toml:11: line\.test\.number: is an emergency number"),
        ('number = "59 90"', 'number = "9 112"', r"toml:11: line\.test\.number: is an emergency number"),
        ('number = "59 90"', 'number = "59#90"', r"toml:11: line\.test\.number.*must be a plain number"),
        ("looks_like_emergency = true\n", "", r"toml:15: line\.heartbeat\.number: begins like an emergency"),
        (
            'caller = "01632 960111"',
            'caller = "01632 960111"\nphone = "test1"',
            r"toml:13: line\.test\.phone: 'test1' is the phone that test calls are placed as",
        ),
        ('phone = "test1"', 'phone = "test2"', r"toml:12: line\.test\.phone: there is no phone 'test2'"),
        ("secrets/ami", "secrets/none", r"toml:28: ami\.password_file: .* cannot be read"),
        (
            "round_trip",
            "roundtrip",
            r"toml:31: thresholds\.sip\.options\.roundtrip: nothing is expected of it",
        ),
        ("passes = 20", "passes = 200", r"toml:31: .*wrong way round"),
        (
            "warns = 100",
            "warns = inf",
            r"toml:31: thresholds\.sip\.options\.round_trip\.warns: is not acceptable",
        ),
        (
            "warns = 100",
            "warns = nan",
            r"toml:31: thresholds\.sip\.options\.round_trip\.warns: is not acceptable",
        ),
        ("sip.options", "sip.option", r"toml:30: thresholds\.sip\.option: there is no such probe"),
        ("[target]", "[target", "is not TOML"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, before: str, after: str, said: str) -> None:
    """With file, line, key, and what would be right."""
    with pytest.raises(TargetError, match=said):
        open_target(profile(folder, (before, after)))


def test_everything_wrong_is_said_at_once(folder: Path) -> None:
    """A person mends the file once."""
    with pytest.raises(TargetError) as refused:
        open_target(profile(folder, ('number = "59 90"', 'number = "999"'), ("secrets/ami", "secrets/none")))
    assert len(str(refused.value).splitlines()) == 2


def test_a_secret_that_others_can_read(folder: Path) -> None:
    """The message has the command that mends it."""
    (folder / "secrets/test1").chmod(0o644)
    with pytest.raises(TargetError, match=r"chmod 600 .*secrets/test1"):
        open_target(profile(folder))


def test_no_file_and_no_lab(tmp_path: Path) -> None:
    """Each says how to have one."""
    with pytest.raises(TargetError, match="cannot be read"):
        open_target(tmp_path / "appliance.toml")
    with pytest.raises(TargetError, match=r"hwtest lab up --dir"):
        open_target(tmp_path)
    (tmp_path / "lab.json").write_text("{")
    with pytest.raises(TargetError, match="is damaged"):
        open_target(tmp_path)


def test_the_profile_in_the_documentation_is_good(folder: Path) -> None:
    """A technician copies it: it needs its secrets and nothing else."""
    page = Path(__file__).parents[2] / "docs/hwtest.md"
    text = page.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    for name in ("caller", "ari"):
        (folder / "secrets" / name).touch(mode=0o600)
        (folder / "secrets" / name).write_text("word")
    file = folder / "appliance.toml"
    file.write_text(text, encoding="utf-8")
    target = open_target(file)
    assert (target.is_lab, target.caller_phone, target.test_line) == (
        False,
        "caller",
        ("test", target.lines["test"]),
    )
    assert target.daemon is not None and target.ari is not None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('[mi]\nurl = "10.1.2.3:28090"\ntoken_file = "secrets/ami"', r"mi\.url.*without a path, such as"),
        (
            '[mi]\nurl = "https://10.1.2.3/v1"\ntoken_file = "secrets/ami"',
            r"mi\.url.*without a path, such as",
        ),
        ('[record]\nledger = "/var/lib/ledger.sqlite"', r"record\.ledger.*as in edge101\.toml"),
        (
            '[record]\nledger = "postgresql+psycopg://edge:word@10.1.2.3/ledger"',
            r"record\.ledger: has a password, and others .* chmod 600",
        ),
    ],
)
def test_where_the_record_is(folder: Path, more: str, said: str) -> None:
    """What would be right is said in words, and a password is for its owner alone."""
    file = profile(folder)
    file.chmod(0o644)
    good = file.read_text()
    file.write_text(f"{good}\n{more}\n")
    with pytest.raises(TargetError, match=said):
        open_target(file)


def test_an_address_may_end_with_a_slash(folder: Path) -> None:
    """As a browser shows it; and a profile of one's own may have a password in it."""
    file = profile(folder)
    record = '[record]\nledger = "postgresql+psycopg://edge:word@10.1.2.3/ledger"\n'
    mi = '[mi]\nurl = "https://10.1.2.3:28090/"\ntoken_file = "secrets/ami"\n'
    file.write_text(f"{file.read_text()}\n{mi}\n{record}")
    file.chmod(0o600)
    target = open_target(file)
    assert (target.mi.url, target.ledger) == (
        "https://10.1.2.3:28090",
        "postgresql+psycopg://edge:word@10.1.2.3/ledger",
    )
