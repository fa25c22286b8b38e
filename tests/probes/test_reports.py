"""Every form of one result: valid, whole, private, harmless to terminals and browsers, without anybody's number."""

from __future__ import annotations

import json
import os
import re
import stat
import threading
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from hwtest.bench.machine import describe_machine
from hwtest.probes.contract import (
    Evidence,
    Finding,
    Ladder,
    Layer,
    Message,
    NotMeasuredError,
    Plot,
    Probe,
    Series,
    Verdict,
)
from hwtest.probes.sheet import Sheet
from hwtest.report import writing
from hwtest.report.page import page
from hwtest.report.redaction import masked, redacted
from hwtest.report.result import Run, blamed, schema
from hwtest.report.stream import Stream
from hwtest.report.terminal import show
from hwtest.report.words import number
from hwtest.report.writing import Outputs, as_json, check, is_replaceable, write, write_private
from hwtest.running import run
from hwtest.site import Site
from hwtest.target import Kind, TargetError
from tests.probes.made import LIVE, made_probe

NUMBER = "07700900123"
NASTY = f"<script>alert('1')</script>\x1b[2J\x00\u202e]]> {NUMBER}"


class Silent:
    """A watcher that does nothing."""

    def started(self, probe: Probe) -> None:
        """A probe begins."""

    def progress(self, words: str) -> None:
        """How far it is."""

    def finished(self, result: object) -> None:
        """It is done."""


async def failing(site: Site, sheet: Sheet) -> None:
    """Everything that a sheet can hold, hostile."""
    evidence = Evidence(
        text=f"INVITE from {NASTY}", call_id="a@b", messages=(1, 2), file="capture.pcap", frames=(3,)
    )
    sheet.distribution("delay", "ms", [*range(1, 101)], uncertainty=0.1, evidence=[evidence])
    sheet.share("lost", 0, 0)
    sheet.value("calls", "", 7)
    sheet.find("made.up.bad", Verdict.WARN, NASTY, evidence)
    sheet.note(NASTY)
    messages = tuple(
        Message(
            at_ms=float(at), source=at % 2, target=1 - at % 2, label=NASTY, call_id="a@b", repeated=at == 3
        )
        for at in range(4)
    )
    sheet.ladder(Ladder(title=NASTY, parties=("caller", NASTY), messages=messages))
    sheet.plot(
        Plot(title=NASTY, x_label="n", y_label="ms", series=(Series(name="a", points=((1, 2), (3, 4))),))
    )
    site.file("capture.pcap").write_bytes(b"packets of somebody")
    sheet.artefact("capture.pcap", "what was on the wire")
    sheet.artefact("../../escape", "a file outside")


async def passing(_site: Site, sheet: Sheet) -> None:
    """Passes."""
    sheet.distribution("delay", "ms", [1.0] * 20)


async def warning(_site: Site, sheet: Sheet) -> None:
    """Warns."""
    sheet.distribution("delay", "ms", [15.0] * 20)


async def unable(_site: Site, _sheet: Sheet) -> None:
    """Cannot."""
    raise NotMeasuredError(f"no answer from {NASTY}", "sudo apt-get install it")


@pytest.fixture
async def made(tmp_path: Path) -> Run:
    """A run with one of each verdict, and one that was refused."""
    from hwtest.probes.contract import Level

    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "escape").write_text("not ours")
    probes = [
        made_probe(failing, number=1),
        made_probe(passing, "made.pass", 2),
        made_probe(warning, "made.warn", 3),
        made_probe(unable, "made.unable", 4),
        made_probe(passing, "made.harm", 5, level=Level.LAB),
    ]
    async with Site(LIVE, folder) as site:
        return await run(site, probes, Silent(), ["made"], 1)


class Page(HTMLParser):
    """What an HTML page refers to, runs, and says."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note everything that a browser would fetch or run."""
        self.tags.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "xlink:href", "action", "data", "srcset"} or name.startswith("on"):
                self.references.append(value or "")

    def handle_data(self, data: str) -> None:
        """The words."""
        self.text += data


def test_the_page_needs_nothing_else(made: Run) -> None:
    """No script, nothing fetched, styles and plots within; what a target said is text."""
    text = page(redacted(made))
    parsed = Page(text)
    assert "script" not in parsed.tags and "link" not in parsed.tags and "iframe" not in parsed.tags
    assert [reference for reference in parsed.references if not reference.startswith("#")] == []
    assert re.findall(r"url\((?!#)", text) == [] and "@import" not in text
    assert "default-src 'none'" in text and "@page" in text and "@media print" in text
    assert "alert" in parsed.text, "what was said is shown, as text"
    assert NUMBER not in text
    assert all(mark.isprintable() or mark in "\n\t" for mark in text)
    assert parsed.tags.count("svg") == 5, "three distributions, a curve, a ladder"


def test_the_page_says_everything(made: Run) -> None:
    """Verdicts, figures with n and interval, whom to blame, causes, how to confirm and mend."""
    text = " ".join(Page(page(made)).text.split())
    for words in (
        "1 fail",
        "1 warn",
        "1 pass",
        "2 not measured",
        "Look at: trunk",
        "n/a",
        "no upper end from so few",
        "(own)",
        "confirm",
        "mend",
        "sudo apt-get install it",
        "messages 1, 2",
        "frames 3",
        "(again)",
    ):
        assert words in text, words


def test_junit(made: Run) -> None:
    """A failure is no error is no skip; counts are right; the figure stands in the message, as properties are dropped by many."""
    from hwtest.report.junit import junit

    root = ET.fromstring(junit(made))
    assert {k: root.attrib[k] for k in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }
    cases = {case.attrib["name"]: case for case in root.iter("testcase")}
    outcomes = {
        name: [c.tag for c in case if c.tag in {"failure", "error", "skipped"}]
        for name, case in cases.items()
    }
    assert outcomes == {
        "made.up": ["failure"],
        "made.pass": [],
        "made.warn": [],
        "made.unable": ["error"],
        "made.harm": ["skipped"],
    }
    failure = cases["made.up"].find("failure")
    assert failure is not None and "delay p95 95.05 ms (n 100), at most 20 ms" in failure.attrib["message"]
    said = cases["made.warn"].findtext("system-out") or ""
    assert "warn: made.warn.bad" in said


def test_json_follows_its_schema(made: Run) -> None:
    """It reads back equal, has a version, and the schema names all that it holds."""
    assert msgspec.json.decode(as_json(made), type=Run) == made
    document, described = json.loads(as_json(made)), schema()
    assert document["schema_version"] == 1
    properties = described["$defs"]["Run"]["properties"]
    assert set(document) == set(properties)
    assert set(document["probes"][0]) == set(described["$defs"]["ProbeResult"]["properties"])


def test_files_are_private_and_redacted(made: Run, tmp_path: Path) -> None:
    """Nobody else reads them; no number stands in any; with `numbers` it does."""
    outputs = Outputs(
        json=tmp_path / "r.json",
        junit=tmp_path / "r.xml",
        html=tmp_path / "r.html",
        bundle=tmp_path / "r.zip",
    )
    check(outputs)
    write(made, outputs, LIVE, tmp_path / "run", numbers=False)
    for file in (outputs.json, outputs.junit, outputs.html, outputs.bundle):
        assert file is not None and stat.S_IMODE(file.stat().st_mode) == 0o600
        assert NUMBER.encode() not in file.read_bytes()
    assert outputs.json is not None and json.loads(outputs.json.read_bytes())["redacted"] is True
    write(made, outputs, LIVE, tmp_path / "run", numbers=True)
    assert NUMBER.encode() in outputs.json.read_bytes()
    assert b"\x1b" not in outputs.json.read_bytes() and b"\\u001b" not in outputs.json.read_bytes()


def test_a_bundle_of_a_live_target_has_no_captures(made: Run, tmp_path: Path) -> None:
    """They hold other people's calls. A lab's are in it; a file outside the run's folder never is."""
    outputs = Outputs(bundle=tmp_path / "r.zip")

    def names(kind: Kind, *, numbers: bool) -> set[str]:
        write(made, outputs, replace(LIVE, kind=kind), tmp_path / "run", numbers=numbers)
        with zipfile.ZipFile(tmp_path / "r.zip") as bundle:
            assert bundle.testzip() is None
            assert "capture.pcap" in bundle.read("contents.txt").decode()
            return {name for name in bundle.namelist() if name.startswith("files/")}

    assert names(Kind.LIVE, numbers=False) == set()
    assert names(Kind.LIVE, numbers=True) == names(Kind.LAB, numbers=False) == {"files/capture.pcap"}


def test_a_file_that_cannot_be_written_is_refused_before_the_run(tmp_path: Path) -> None:
    """Not after it."""
    with pytest.raises(TargetError, match="no folder"):
        check(Outputs(html=tmp_path / "none/r.html"))
    with pytest.raises(TargetError, match="is a folder"):
        check(Outputs(json=tmp_path))


async def test_the_stream_can_be_followed(tmp_path: Path) -> None:
    """A line for each event, written at once; the results in it are those of the run, redacted."""
    file = tmp_path / "r.ndjson"
    stream = Stream(file, numbers=False)
    seen = list[int]()

    async def measure(site: Site, sheet: Sheet) -> None:
        site.say(f"1 of 2, {NUMBER}")
        seen.append(len(file.read_text().splitlines()))
        sheet.find("made.up.bad", Verdict.FAIL, f"from {NUMBER}")

    async with Site(LIVE, tmp_path) as site:
        made = await run(site, [made_probe(measure)], stream, ["made"], 1)
    stream.end(made)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert seen == [2]
    assert [line["event"] for line in lines] == ["started", "progress", "finished", "run"]
    assert lines[1]["words"] == "1 of 2, …23"
    assert lines[2]["result"]["findings"][0]["summary"] == "from …23"
    assert (lines[3]["run"]["exit_status"], lines[3]["run"]["redacted"]) == (2, True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_terminal_obeys_nothing(made: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Escapes are shown as text; what a person needs is there."""
    show(made)
    text = capsys.readouterr().out
    assert all(mark.isprintable() or mark == "\n" for mark in text)
    assert NUMBER not in text
    assert "made.up.bad" in text and "to measure it: sudo apt-get install it" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("from +44 7700 900123 to", "from …23 to"),
        ("sip:07700900123@127.0.0.1:5060", "sip:…23@127.0.0.1:5060"),
        ("sip:%2B447700900123@127.0.0.1", "sip:%2B…23@127.0.0.1"),
        ("(01632) 960 111", "(…11"),
        ("p95 312.25 ms (n 1000)", "p95 312.25 ms (n 1000)"),
        ("2026-11-26T16:39:10.047228Z", "2026-11-26T16:39:10.047228Z"),
        ("on 127.0.0.1:28060", "on 127.0.0.1:28060"),
        ("Call-ID 0123456789abcdef01", "Call-ID 0123456789abcdef01"),
        ("line 9990", "line 9990"),
    ],
)
def test_numbers_are_masked(text: str, shown: str) -> None:
    """Numbers are, figures and ids are not."""
    assert masked(text) == shown


def test_the_machine_is_described() -> None:
    """RFC 6076 §5.6: the environment of a measurement must be documented."""
    assert describe_machine("22.10.1").cores >= 1


def found(code: str, layer: Layer, verdict: Verdict) -> Finding:
    """One finding."""
    return Finding(
        code=code,
        verdict=verdict,
        layer=layer,
        summary="",
        evidence=(),
        meaning="",
        caller_notices="",
        causes=(),
        confirm="",
        mend="",
    )


async def test_where_to_look_first(made: Run) -> None:
    """At what failed before what is a warning, however many; six figures of one code are one blame."""
    late = found("log.error.late", Layer.DAEMON, Verdict.FAIL)
    findings = (
        *[found(f"meter.timing.{n}", Layer.METER, Verdict.WARN) for n in range(3)],
        found("log.error.shifted", Layer.CLOCK, Verdict.FAIL),
        *[late] * 6,
        found("log.error.missing", Layer.RECORD, Verdict.FAIL),
        found("log.complete.missing", Layer.RECORD, Verdict.FAIL),
    )
    run = msgspec.structs.replace(made, probes=(msgspec.structs.replace(made.probes[0], findings=findings),))
    assert blamed(run) == [Layer.RECORD, Layer.CLOCK, Layer.DAEMON, Layer.METER]


def test_what_is_no_file_is_never_replaced(tmp_path: Path) -> None:
    """A pipe is written to and stays one; as root we could take a machine's /dev/null away."""
    pipe, read = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_private(pipe, b"{}")
    reader.join(10)
    assert (read, pipe.is_fifo()) == ([b"{}"], True)
    places = ("/dev/null", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", pipe)
    assert not any(is_replaceable(Path(place)) for place in places)
    assert is_replaceable(tmp_path / "new.json")


async def test_a_stream_that_cannot_be_written_costs_the_run_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A disk that is full: it is said once, and every probe has its result."""
    stream = Stream(Path("/dev/full"), numbers=False)
    async with Site(LIVE, tmp_path) as site:
        made = await run(site, [made_probe(passing), made_probe(passing)], stream, ["made"], 1)
    stream.end(made)
    assert made.verdict is Verdict.PASS
    assert capsys.readouterr().err.splitlines() == [
        "hwtest: --ndjson /dev/full: ends here: No space left on device"
    ]


def test_one_form_that_fails_costs_the_others_nothing(
    made: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it cannot be made or not be written; each is said."""

    def broken(_: Run) -> bytes:
        raise ValueError("no picture")

    monkeypatch.setattr(writing, "_as_html", broken)
    outputs = Outputs(json=Path("/dev/full"), html=tmp_path / "r.html", junit=tmp_path / "r.xml")
    lost = write(made, outputs, LIVE, tmp_path / "run", numbers=False)
    assert (tmp_path / "r.xml").is_file() and not (tmp_path / "r.html").exists()
    assert [line.partition(" ")[0] for line in lost] == ["--json", "--html"]
    assert "No space left on device" in lost[0] and "ValueError: no picture" in lost[1]
    assert list(tmp_path.glob(".r*")) == []


def test_a_number_without_an_end_can_be_shown() -> None:
    """A report must not break on one."""
    assert (number(float("inf")), number(float("nan")), number(1.234)) == ("inf", "nan", "1.23")
