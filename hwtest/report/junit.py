"""JUnit XML: a failure failed, an error could not be measured, a skipped one was not let run. The figures stand in the messages.

Many readers drop properties, so nothing stands in them alone.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from edge.cli.output import clean
from hwtest.probes.contract import Verdict
from hwtest.report.result import ProbeResult, Run
from hwtest.report.words import gist, words_of


def junit(run: Run) -> bytes:
    """The file."""
    verdicts = [result.verdict for result in run.probes]
    skipped = sum(not result.begun for result in run.probes)
    counts = {
        "tests": len(verdicts),
        "failures": verdicts.count(Verdict.FAIL),
        "errors": verdicts.count(Verdict.NOT_MEASURED) - skipped,
        "skipped": skipped,
    }
    attributes = {name: str(count) for name, count in counts.items()}
    suites = ET.Element("testsuites", {"name": "hwtest", "time": f"{run.seconds:.3f}", **attributes})
    suite = ET.SubElement(
        suites,
        "testsuite",
        {
            "name": clean(run.target.name),
            "timestamp": run.started_utc.partition(".")[0],
            "time": f"{run.seconds:.3f}",
            **attributes,
        },
    )
    _properties(
        suite, {"target": run.target.sip, "fingerprint": run.target.fingerprint, "verdict": run.verdict.value}
    )
    for result in run.probes:
        _case(suite, result)
    ET.indent(suites)
    content: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _properties(parent: ET.Element, values: dict[str, str]) -> None:
    properties = ET.SubElement(parent, "properties")
    for name, value in values.items():
        ET.SubElement(properties, "property", {"name": name, "value": clean(value)})


def _case(suite: ET.Element, result: ProbeResult) -> None:
    area = result.name.partition(".")[0]
    case = ET.SubElement(
        suite,
        "testcase",
        {"classname": f"hwtest.{area}", "name": result.name, "time": f"{result.seconds:.3f}"},
    )
    _properties(case, {figure.name: words_of(figure) for figure in result.figures})
    message = clean(gist(result))
    match result.verdict:
        case Verdict.FAIL:
            _outcome(case, "failure", message, "fail", result)
        case Verdict.NOT_MEASURED if result.begun:
            _outcome(case, "error", message, "not measured", result)
        case Verdict.NOT_MEASURED:
            ET.SubElement(case, "skipped", {"message": f"not measured: {message}"})
        case _:
            pass
    told = [words_of(figure) for figure in result.figures]
    told += [f"{finding.verdict.words}: {finding.code}: {finding.summary}" for finding in result.findings]
    if told:
        ET.SubElement(case, "system-out").text = "\n".join(map(clean, told))


def _outcome(case: ET.Element, tag: str, message: str, kind: str, result: ProbeResult) -> None:
    made = ET.SubElement(case, tag, {"message": message, "type": kind})
    lines = [message]
    if result.reason is not None:
        lines += [f"why: {result.reason}", f"to measure it: {result.mend}"]
    for finding in result.findings:
        lines += [
            f"{finding.code} [{finding.layer.value}]: {finding.summary}",
            f"the caller: {finding.caller_notices}",
            *(f"likely: {cause}" for cause in finding.causes),
            f"confirm: {finding.confirm}",
            f"mend: {finding.mend}",
            *(f"evidence: {evidence.text}" for evidence in finding.evidence),
        ]
    made.text = "\n".join(map(clean, lines))
