"""The configuration: what is given to the engine, and what is said of what is wrong."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from edge.config import Configuration, ConfigurationError, load
from edge.config.findings import Level
from edge.config.load import examine
from edge.config.model import TimingSection
from edge.core.model import Answer, PhoneKind, Policy, Relaxation, Tier

Written = Callable[[str], Path]


def test_policy_of_a_good_configuration(written: Written, good: str) -> None:
    """Lines get what their tier implies; everything else arrives as written."""
    policy = load(written(good)).policy()
    emergency, public = policy.lines["emergency"], policy.lines["public"]
    assert (emergency.tier, emergency.answer, emergency.dead_man_seconds) == (
        Tier.EMERGENCY,
        Answer.BY_AGENT,
        3,
    )
    assert (public.tier, public.answer, public.dead_man_seconds) == (Tier.ROUTINE, Answer.ON_ARRIVAL, 15)
    assert public.priority_class == "standard"
    assert {name: c.head_start_seconds for name, c in policy.classes.items()} == {
        "standard": 0,
        "vulnerable": 300,
    }
    assert dict(policy.agents["4001"].skills) == {"101": 1, "999": 2}
    assert policy.phones["home"].kind is PhoneKind.TRUNK


def test_timing_has_all_of_the_policys_seconds() -> None:
    """No wait of the engine is out of the site's reach, and the defaults are the engine's."""
    elsewhere = {"largest_boost_seconds", "assisted_offer_seconds"}
    seconds = {f.name: f.default for f in fields(Policy) if f.name.endswith("_seconds")}
    for name in elsewhere:
        del seconds[name]
    assert TimingSection().model_dump() == seconds


def test_the_example_is_good(written: Written, tmp_path: Path) -> None:
    """The commented example is accepted without a warning once its secrets exist."""
    example = Path(__file__).parents[2] / "edge101.example.toml"
    path = written(example.read_text(encoding="utf-8"))
    (tmp_path / "agent-4001.pin").write_text("1234\n")
    (tmp_path / "agent-4001.pin").chmod(0o600)
    configuration = load(path)
    assert configuration.warnings == ()
    assert configuration.policy().queues["welsh"].relaxations == (
        Relaxation(after_seconds=120, skills=("101",), prompt="no-welsh-handler"),
    )


def test_digest_is_of_the_content(written: Written, good: str) -> None:
    """Comments and layout leave the digest alone, a value does not."""
    first = load(written(good)).digest
    assert load(written("# hello\n" + good.replace(" = ", "="))).digest == first
    assert load(written(good.replace('"Room"', '"Hall"'))).digest != first


def test_secrets_come_from_files_and_stay_hidden(written: Written, good: str) -> None:
    """Passwords are read for the adapter, and no representation shows a secret."""
    configuration = load(written(good))
    settings = configuration.asterisk_settings()
    assert (settings.ari_password, settings.ami_password) == ("ari-secret-word", "ami-secret-word")
    shown = repr(configuration) + str(configuration) + repr(settings) + configuration.model_dump_json()
    assert "secret-word" not in shown
    assert "1234" not in shown


def test_the_daemon_starts_without_reading_the_rescuers_password(
    written: Written, good: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As installed it is root's alone: it belongs to `edge rescue`, and to whoever generates the switch's files."""
    (tmp_path / "rescue.password").write_text("rescue-secret-word")
    read = Path.read_text

    def closed(path: Path, encoding: str | None = None) -> str:
        if path.name == "rescue.password":
            raise PermissionError(13, "Permission denied")
        return read(path, encoding)

    monkeypatch.setattr(Path, "read_text", closed)
    account = '[switch.rescue]\npassword_file = "rescue.password"\n[switch.ari]'
    configuration = load(written(good.replace("[switch.ari]", account)))
    assert configuration.switch.rescue is not None
    assert not configuration.switch.rescue.password.get_secret_value()


def test_systemd_credentials_come_first(
    written: Written, good: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A credential of that name is taken before a file beside the configuration."""
    (tmp_path / "credentials").mkdir()
    credential = tmp_path / "credentials/ari.password"
    credential.write_text("from-systemd-1")
    credential.chmod(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credential.parent))
    assert load(written(good)).asterisk_settings().ari_password == "from-systemd-1"


ERRORS = [
    # replaced, by, key, part of the message
    ('name = "Room"', 'nme = "Room"', "site.nme", "Did you mean name?"),
    ('name = "Room"', "", "site.name", "is missing"),
    ('name = "Room"', "name = 5", "site.name", "string"),
    ('[site]\nname = "Room"', "", "site", "is missing"),
    ("[not_ready]", "[not_redy]", "not_redy", "Did you mean not_ready?"),
    (
        'queue = "public"',
        'queue = "pubic"',
        "line.public.queue",
        'there is no queue "pubic". Known: emergency, public.',
    ),
    ('greeting = "greeting-101"', 'class = "vip"', "line.public.class", 'there is no class "vip"'),
    ('number = "101"', 'number = "999"', "line.public.number", "line.emergency.number is 999 too"),
    ('number = "101"', 'number = "10a"', "line.public.number", "digits"),
    ('number = "101"', 'number = "1,1,Hangup()"', "line.public.number", "digits"),
    ('number = "101"', "number = 101", "line.public.number", "string"),
    ("[line.public]", "[line.'Public Line']", "line.Public Line", "must be 1 to 32 of a-z"),
    ("[queue.public]", "[queue._public]", "queue._public", "must be 1 to 32 of a-z"),
    ("[agent.4001]", "[agent.ann]", "agent.ann", "digits"),
    ('phone = "desk1"', 'phone = "desk9"', "agent.4001.phone", 'there is no phone "desk9"'),
    ('pin = "1234"', 'pin = "123"', "agent.4001.pin", "4 to 8 digits"),
    ('pin = "1234"', 'pin = "12345678a"', "agent.4001.pin", "4 to 8 digits"),
    ('pin = "1234"', 'pin_file = "none"', "agent.4001.pin_file", "cannot be used"),
    ('pin = "1234"', 'pin = "1234"\npin_file = "x"', "agent.4001.pin_file", "there is a pin too"),
    ('"101" = 1', '"101" = 0', "agent.4001.skills.101", "greater than or equal to 1"),
    ('trunk = "gateway"\n', "", "phone.home.trunk", "a phone of kind trunk needs it"),
    ('number = "01632960001"', "", "phone.home.number", "a phone of kind trunk needs it"),
    ('kind = "trunk"', 'kind = "registered"', "phone.home.trunk", "a registered phone has none"),
    ('kind = "trunk"', 'kind = "mobile"', "phone.home.kind", "registered"),
    (
        "head_start_seconds = 300",
        "head_start_seconds = -1",
        "class.vulnerable.head_start_seconds",
        "greater than",
    ),
    (
        'skills = ["999"]',
        'skills = ["999"]\noffer_seconds = 1',
        "queue.emergency.offer_seconds",
        "greater than",
    ),
    ('skills = ["999"]', 'skills = ["999"]\noffer_seconds = "9"', "queue.emergency.offer_seconds", "number"),
    ('skills = ["999"]', 'skills = ["999"]\ntarget_share = 1.5', "queue.emergency.target_share", "less than"),
    (
        'tier = "999"',
        'tier = "999"\ngreeting = "hello"',
        "line.emergency.greeting",
        "nothing stands in front of a 999",
    ),
    ('tier = "999"', 'tier = "998"', "line.emergency.tier", "'101' or '999'"),
    ('queue = "emergency"', 'queue = "public"', "line.emergency.queue", "101 callers wait in the queue"),
    (
        'password_file = "ari.password"',
        'password = "x"',
        "switch.ari.password",
        "a secret must not stand in this file",
    ),
    ('password_file = "ari.password"', "", "switch.ari.password_file", "is missing"),
    ('"ari.password"', '"nowhere"', "switch.ari.password_file", "cannot be used"),
    ("[switch.ari]", '[switch.ari]\nurl = "http://192.0.2.1:8088"', "switch.ari.url", "this machine only"),
    (
        "[switch.ari]",
        '[switch.ari]\nurl = "https://127.0.0.1:8089/x"',
        "switch.ari.url",
        "must be a plain address",
    ),
    ("[switch.ami]", '[switch.ami]\nhost = "0.0.0.0"', "switch.ami.host", "this machine only"),
    ("[switch.ami]", "[switch.ami]\nport = 70000", "switch.ami.port", "less than"),
    ("[not_ready]", '[codes]\nsign_in = "*23"\n[not_ready]', "codes.sign_out", "codes.sign_in is *23 too"),
    (
        "[not_ready]",
        '[codes]\nsign_in = "101"\n[not_ready]',
        "codes.sign_in",
        "line.public.number is 101 too",
    ),
    ("[not_ready]", '[codes]\nsign_in = "*2"\n[not_ready]', "codes.sign_in", "begins with this code"),
    ("[not_ready]", '[codes]\nsign_in = "_*2X"\n[not_ready]', "codes.sign_in", "digits after * or #"),
    ('reasons = ["break"]', 'reasons = ["a,b"]', "not_ready.reasons.0", "letters, digits"),
    (
        "[phone.desk1]",
        "[phone.desk1]\n[phone.desk-1]",
        "phone.desk-1",
        "differs from phone.desk1 only in dashes",
    ),
    (
        "[phone.desk1]",
        '[agent.2]\nname = "B"\nskills = {}\nphone = "desk1"\n[phone.desk1]',
        "agent.2.phone",
        "usual",
    ),
    (
        'skills = ["101"]',
        'skills = ["101"]\nrelax = [{ after_seconds = 9, skills = [] }, { after_seconds = 9, skills = [] }]',
        "queue.public.relax",
        "does not increase",
    ),
    (
        'skills = ["101"]',
        'skills = ["101"]\nrelax = [{ after_second = 9, skills = [] }]',
        "queue.public.relax.0.after_second",
        "Did you mean after_seconds?",
    ),
]


@pytest.mark.parametrize(("replaced", "by", "key", "message"), ERRORS)
def test_error_names_file_line_key_and_mend(
    written: Written, good: str, replaced: str, by: str, key: str, message: str
) -> None:
    """Each mistake is refused with one line that has the file, a line near the mistake, the key and what is wrong."""
    text = good.replace(replaced, by, 1)
    assert text != good
    path = written(text)
    with pytest.raises(ConfigurationError) as refused:
        load(path)
    lines = [str(finding) for finding in refused.value.findings if f": {key}: " in str(finding)]
    assert len(lines) >= 1
    assert any(message in line for line in lines)
    assert all(line.startswith(f"error: {path}:") for line in lines)
    number = int(lines[0].removeprefix(f"error: {path}:").split(":")[0])
    last = key.rsplit(".", 1)[-1]
    nearby = text.splitlines()[number - 1]
    assert any(part in nearby for part in (last, *key.split("."))) or number == 1


WARNINGS = [
    ('tier = "999"', 'tier = "999"\nanswer = "on_arrival"', "line.emergency.answer", "answered by a machine"),
    (
        'tier = "999"',
        'tier = "999"\ndead_man_seconds = 4',
        "line.emergency.dead_man_seconds",
        "unattended for 4 s",
    ),
    ('skills = ["101"]', 'skills = ["welsh"]', "queue.public.skills", 'no agent has the skill "welsh"'),
    ("[switch.ari]", '[switch]\nversion = "16.28"\n[switch.ari]', "switch.version", "only the dead-man"),
    ("[switch.ari]", '[switch]\nversion = "22"\n[switch.ari]', "switch.version", "StasisBroadcast"),
    ("[switch.ari]", '[switch]\nversion = "22.9"\n[switch.ari]', "switch.version", "StasisBroadcast"),
    ("[agent.4001]", "[agent.101]", "agent.101", "line.public has this number too"),
]


@pytest.mark.parametrize(("replaced", "by", "key", "message"), WARNINGS)
def test_warning_does_not_prevent_a_start(
    written: Written, good: str, replaced: str, by: str, key: str, message: str
) -> None:
    """What is doubtful is said with its key, and the configuration is used."""
    configuration = load(written(good.replace(replaced, by, 1)))
    assert [(f.level, f.where.rsplit(": ", 1)[1]) for f in configuration.warnings] == [(Level.WARNING, key)]
    assert message in configuration.warnings[0].problem


@pytest.mark.parametrize("version", ["20.20", "22.10.1", "23.4", "24"])
def test_newer_switches_have_no_limits(written: Written, good: str, version: str) -> None:
    """Of a version that has all that the design uses nothing is said."""
    text = good.replace("[switch.ari]", f'[switch]\nversion = "{version}"\n[switch.ari]', 1)
    assert load(written(text)).warnings == ()


def test_public_files_are_warned_about(written: Written, good: str, tmp_path: Path) -> None:
    """A password that everybody can read, and a file with PINs that everybody can read, are warned about."""
    path = written(good)
    path.chmod(0o644)
    (tmp_path / "ami.password").chmod(0o644)
    keys = sorted(finding.where.rsplit(": ", 1)[1] for finding in load(path).warnings)
    assert keys == ["agent.4001.pin", "switch.ami.password_file"]


def test_all_findings_at_once(written: Written, good: str) -> None:
    """Several mistakes are told together, one per line."""
    path = written(
        good.replace('name = "Room"', "nme = 1").replace('"1234"', '"1"').replace('"101"\ntier', '"x"\ntier')
    )
    with pytest.raises(ConfigurationError) as refused:
        load(path)
    assert len(str(refused.value).splitlines()) == len(refused.value.findings) == 4


@pytest.mark.parametrize("content", [b"[site", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_what_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    """Broken syntax and broken encoding give one finding with the file's name."""
    path = tmp_path / "edge101.toml"
    path.write_bytes(content)
    configuration, findings = examine(path)
    assert configuration is None
    assert [finding.where for finding in findings] == [str(path)]


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is a configuration error, not a traceback."""
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path / "none.toml")


def test_internal_names_are_no_keys(written: Written, good: str) -> None:
    """What a loaded configuration knows besides its sections cannot be written into the file."""
    for key in ("digest", "warnings", "queues"):
        with pytest.raises(ConfigurationError, match="unknown key"):
            load(written(f"{key} = 'x'\n{good}"))


def test_configuration_is_a_permanent_error(written: Written, good: str) -> None:
    """A loaded configuration cannot be changed."""
    configuration = load(written(good))
    assert isinstance(configuration, Configuration)
    with pytest.raises(ValueError, match="frozen"):
        configuration.site.name = "other"  # type: ignore[misc]
