"""host.config without a switch: what a console prints in, verdict and finding out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import pytest

from edge.errors import RefusedError
from hwtest.lab.contract import Address
from hwtest.probes import host_config
from hwtest.probes.contract import Layer, NotMeasuredError, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.switch.bugs import BUGS, bugs_of, lacks, version_of
from hwtest.switch.settings import Step, host_of, steps, waits_for_audio
from hwtest.target import Daemon, Line
from tests.probes.made import LIVE

GOOD = {
    "core show version": "Asterisk 22.11.0 built by nobody",
    "rtp show settings": "  Port start:      10000\n  Port end:        10999\n",
    "core show settings": "  Maximum open file handles:   20000\n",
    "pjsip show settings": " taskprocessor_overload_trigger             : pjsip_only\n",
    "module show": "\n".join(f"{name}.so      Something   0   Running   core" for name in host_config.NEEDED),
    "dialplan show 5990@edge-lines": "  '5990' =>  1. Goto(edge-line-test,arrive,1)     [a.conf:3]",
    "dialplan show edge-lines": "  '5990' =>  1. Goto(edge-line-test,arrive,1)     [a.conf:3]",
    "dialplan show edge-line-test": "  'arrive' =>  1. Answer(0,i)     [a.conf:9]",
}
TARGET = dataclasses.replace(
    LIVE,
    lines={"test": Line(number="5990", phone="test1")},
    daemon=Daemon(),
    sip=Address(host="127.0.0.1", port=1),
)

REAL_LOOK_UP = host_config.look_up_ms


class Console:
    """An AMI link to a switch that prints what it was given."""

    aors: ClassVar[list[dict[str, str]]] = []
    other_trunks: ClassVar[dict[str, str]] = {}
    """Context by name."""

    def __init__(self, printed: dict[str, str], endpoint: dict[str, str]) -> None:
        self.printed = printed
        self.endpoint = {"Event": "EndpointDetail", "Context": "edge-lines", **endpoint}

    async def ask(self, name: str, headers: dict[str, str]) -> dict[str, Any]:
        """A command's lines; a refusal of one that is not known."""
        if headers["Command"] not in self.printed:
            raise RefusedError(f"{name}: no such context")
        return {"Output": self.printed[headers["Command"]].splitlines()}

    async def list(self, name: str, headers: dict[str, str]) -> list[dict[str, str]]:
        """One trunk, which is reached by a name if `aors` says so, and registers nowhere."""
        if name == "PJSIPShowEndpoints":
            return [{"ObjectName": name} for name in ("bt", *self.other_trunks)]
        if name == "PJSIPShowAors":
            return list(self.aors)
        if name == "PJSIPShowRegistrationsOutbound":
            raise RefusedError(f"{name}: no such module")
        context = self.other_trunks.get(headers["Endpoint"], self.endpoint["Context"])
        return [{**self.endpoint, "Context": context}, {"Event": "IdentifyDetail"}]


async def measured(
    folder: Path,
    endpoint: dict[str, str] | None = None,
    **changed: str | None,
) -> Sheet:
    """What stands on the sheet when the console prints something else here and there; None: it refuses that."""
    commands = {name.replace("_", " "): text for name, text in changed.items()}
    printed = {name: text for name, text in {**GOOD, **commands}.items() if text is not None}
    sheet, site = Sheet(host_config.PROBE), Site(TARGET, folder)
    console = Console(
        printed, {"MediaAddress": "10.0.0.1", "BindRtpToMediaAddress": "true", **(endpoint or {})}
    )

    async def control() -> Any:
        return console

    site.control = control  # type: ignore[method-assign]
    await host_config.measure(site, sheet)
    return sheet


@pytest.fixture(autouse=True)
def resolves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of this machine is its own affair."""
    monkeypatch.setattr(host_config, "look_up_ms", lambda _: 0.3)


async def test_a_good_switch_passes(tmp_path: Path) -> None:
    """And what no release mends is a remark, as nobody can do anything about it."""
    sheet = await measured(tmp_path)
    assert (sheet.verdict, sheet.findings) == (Verdict.PASS, [])
    assert next(figure.value for figure in sheet.figures if figure.name == "legs_by_rtp_ports") == 500
    assert any("issues/2170" in note for note in sheet.notes)


@pytest.mark.parametrize(
    ("changed", "code", "layer", "verdict"),
    [
        (
            {"rtp_show_settings": " Port start: 10000\n Port end: 10019\n"},
            "ports",
            Layer.SWITCH,
            Verdict.FAIL,
        ),
        (
            {"rtp_show_settings": " Port start: 10000\n Port end: 10199\n"},
            "ports",
            Layer.SWITCH,
            Verdict.WARN,
        ),
        ({"core_show_settings": " Maximum open file handles: 1023\n"}, "files", Layer.HOST, Verdict.FAIL),
        (
            {"core_show_settings": " Maximum open file handles: 1024 (is) 20000 (requested)\n"},
            "files",
            Layer.HOST,
            Verdict.WARN,
        ),
        ({"module_show": GOOD["module show"][60:]}, "modules", Layer.SWITCH, Verdict.FAIL),
        ({"dialplan_show_5990@edge-lines": None}, "context", Layer.DIALPLAN, Verdict.FAIL),
        (
            {"dialplan_show_edge-line-test": "  'arrive' =>  1. Answer()     [a.conf:9]"},
            "answers",
            Layer.DIALPLAN,
            Verdict.FAIL,
        ),
        (
            {"pjsip_show_settings": " taskprocessor_overload_trigger : global\n"},
            "overload",
            Layer.SWITCH,
            Verdict.WARN,
        ),
        ({"core_show_version": "Asterisk 16.28.0 built by nobody"}, "old", Layer.SWITCH, Verdict.WARN),
    ],
)
async def test_a_fault_is_named(
    tmp_path: Path, changed: dict[str, str | None], code: str, layer: Layer, verdict: Verdict
) -> None:
    """With its layer, and nothing else is blamed."""
    sheet = await measured(tmp_path, None, **changed)
    assert {(f.code, f.layer, f.verdict) for f in sheet.findings} == {(f"host.config.{code}", layer, verdict)}


async def test_what_is_as_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No limit at all; a switch without a daemon and what it needs; a number with the marks that people write."""
    unlimited = await measured(tmp_path, core_show_settings="  Maximum open file handles:   Unlimited\n")
    assert (unlimited.verdict, unlimited.findings) == (Verdict.PASS, [])
    modules = "\n".join(
        line for line in GOOD["module show"].splitlines() if "stasis" not in line and "ari" not in line
    )
    assert [f.code for f in (await measured(tmp_path, module_show=modules)).findings] == [
        "host.config.modules"
    ]
    line = Line(number="59 90", phone="test1")
    monkeypatch.setattr(f"{__name__}.TARGET", dataclasses.replace(TARGET, daemon=None, lines={"test": line}))
    alone = await measured(tmp_path, module_show=modules)
    assert (alone.verdict, alone.findings) == (Verdict.PASS, [])


async def test_a_trunk_for_other_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That one trunk does not lead to the test line is told; that none does is a failure."""
    monkeypatch.setattr(Console, "other_trunks", {"carrier": "carrier-in"})
    sheet = await measured(tmp_path)
    assert (sheet.verdict, sheet.findings) == (Verdict.PASS, [])
    assert "Line test is not reached by who calls into context carrier-in." in sheet.notes
    sheet = await measured(tmp_path, **{"dialplan_show_5990@edge-lines": None})
    assert [f.code for f in sheet.findings] == ["host.config.context"]


async def test_an_old_release(tmp_path: Path) -> None:
    """What has been mended since is a warning, and so is what it cannot do."""
    sheet = await measured(tmp_path, core_show_version="Asterisk 22.9.0 built by nobody")
    assert [f.code for f in sheet.findings] == ["host.config.bug", "host.config.old"]
    assert "issues/1936" in sheet.findings[0].summary


@pytest.mark.parametrize(("bound", "verdict"), [("false", Verdict.FAIL), ("true", Verdict.WARN)])
async def test_a_name_without_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, verdict: Verdict
) -> None:
    """A failure where calls need it, a warning where every endpoint's audio has an address of its own."""
    monkeypatch.setattr(host_config, "look_up_ms", lambda _: None)
    sheet = await measured(tmp_path, {"BindRtpToMediaAddress": bound})
    assert [(f.code, f.layer, f.verdict) for f in sheet.findings] == [
        ("host.config.names", Layer.HOST, verdict)
    ]


async def test_a_slow_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five seconds are a name server that does not answer."""
    monkeypatch.setattr(host_config, "look_up_ms", lambda _: 5000.0)
    sheet = await measured(tmp_path)
    assert [(f.code, f.verdict) for f in sheet.findings] == [("host.config.names", Verdict.FAIL)]


async def test_a_trunk_by_a_name_that_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host is blamed, and the name and its place are told. A phone may register by any name: it is none of ours."""
    monkeypatch.setattr(host_config, "look_up_ms", lambda name: None if name.endswith(".invalid") else 0.3)
    aors = [
        {"ObjectName": "bt", "MaxContacts": "0", "Contacts": "bt/sip:10.9.8.7:5060,bt/sip:sbc.invalid:5070"},
        {"ObjectName": "desk1", "MaxContacts": "1", "Contacts": "desk1/sip:desk1@x7f.invalid;transport=ws"},
    ]
    monkeypatch.setattr(Console, "aors", aors)
    sheet = await measured(tmp_path)
    assert [(f.code, f.layer, f.verdict) for f in sheet.findings] == [
        ("host.config.others", Layer.HOST, Verdict.FAIL)
    ]
    assert sheet.findings[0].summary == "this host cannot look up 'sbc.invalid' (sip:sbc.invalid:5070 of bt)"


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("sip:trunk.example:5060;transport=udp", "trunk.example"),
        ("<sips:edge@Trunk.Example>", "trunk.example"),
        ("sip:10.0.0.1:5060", None),
        ("sip:[2001:db8::1]:5060", None),
        ("tel:101", None),
        ("", None),
    ],
)
def test_the_host_of_a_uri(uri: str, name: str | None) -> None:
    """Only where it is a name."""
    assert host_of(uri) == name


async def test_another_machine_and_a_mute_account_are_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never a pass."""
    monkeypatch.setattr(host_config, "is_own", lambda _: False)
    assert (await measured(tmp_path)).verdict is Verdict.NOT_MEASURED
    monkeypatch.undo()
    with pytest.raises(NotMeasuredError, match="may not give commands"):
        await measured(tmp_path, core_show_version=None)
    with pytest.raises(NotMeasuredError, match="no Asterisk"):
        await measured(tmp_path, core_show_version="FreeSWITCH Version 1.10")
    for nothing in ("rtp_show_settings", "module_show", "core_show_settings"):
        assert (await measured(tmp_path, **{nothing: None})).verdict is Verdict.NOT_MEASURED


def test_the_real_look_up() -> None:
    """Of an address, and of a name that RFC 6761 keeps from existing."""
    assert (REAL_LOOK_UP("127.0.0.1") or 0) > 0
    assert REAL_LOOK_UP("nobody.invalid") is None


def test_versions() -> None:
    """Of every way in which Asterisk writes its own, and what they lack."""
    assert version_of("Asterisk 22.10.1+dfsg+~cs6.17.60671434-1 built by nobody") == (22, 10, 1)
    assert version_of("Asterisk certified-20.7-cert4 built by x") == (20, 7)
    assert version_of("3CX 18") is None
    assert {bug.issue for bug in bugs_of((22, 10, 1))} == {1946, 1962, 2170}
    assert {bug.issue for bug in bugs_of((22, 9, 0))} == {bug.issue for bug in BUGS}
    assert lacks((22, 10, 1)) == [] and lacks((23, 4)) == [] and lacks((24, 0)) == []
    assert len(lacks((22, 9, 0))) == 1 and len(lacks((21, 9))) == 1 and len(lacks((16, 28, 0))) == 2


@pytest.mark.parametrize(
    ("arguments", "waits"), [("", True), ("0", True), ("500", True), ("0,i", False), (",i", False)]
)
def test_answer(arguments: str, waits: bool) -> None:
    """Only the option i answers without waiting for audio; what else there is does not answer at all."""
    (step,) = steps([f"     4. Answer({arguments})                [edge101-extensions.conf:40]"])
    assert step == Step("Answer", arguments, "edge101-extensions.conf:40")
    assert waits_for_audio(step) is waits
    assert not waits_for_audio(Step("Playback", "hello", ""))
