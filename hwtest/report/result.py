"""The result of a run: what JSON holds, and what every other form is made from."""

from __future__ import annotations

from typing import Any

import msgspec

from hwtest.bench.machine import Machine
from hwtest.probes.contract import Artefact, Figure, Finding, Ladder, Layer, Plot, Verdict, worst

SCHEMA_VERSION = 1


class Meanwhile(msgspec.Struct, frozen=True, kw_only=True):
    """How busy the measuring machine was while a probe ran."""

    load_average: float
    busy_share: float
    steal_share: float
    clock_step_ms: float


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one probe came to."""

    name: str
    number: int
    title: str
    level: str
    verdict: Verdict
    started_utc: str
    seconds: float
    term: str
    reference: str
    meaning: str
    figures: tuple[Figure, ...] = ()
    findings: tuple[Finding, ...] = ()
    ladders: tuple[Ladder, ...] = ()
    plots: tuple[Plot, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
    notes: tuple[str, ...] = ()
    begun: bool = True
    """Whether it ran at all: the interlock refuses some, and a person may end the run before."""
    reason: str | None = None
    """Why it was not measured, or not to its end."""
    mend: str | None = None
    """What makes it measurable."""
    meanwhile: Meanwhile | None = None


class TargetDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What was tested. No password and no number stands in it."""

    name: str
    kind: str
    sip: str
    source: str
    fingerprint: str
    """SHA-256 of the file that describes it, and of the configuration that a lab runs: has anything changed since?"""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of hwtest."""

    schema_version: int = SCHEMA_VERSION
    hwtest_version: str
    what: tuple[str, ...]
    """The probes and groups that were asked for."""
    seed: int
    started_utc: str
    seconds: float
    target: TargetDescription
    machine: Machine
    verdict: Verdict
    exit_status: int
    interrupted: bool
    """Whether a person ended it; what had not run is not measured."""
    redacted: bool
    """Whether numbers are masked."""
    probes: tuple[ProbeResult, ...]


def verdict_of(results: tuple[ProbeResult, ...]) -> Verdict:
    """Of a whole run."""
    return worst(result.verdict for result in results)


def blamed(run: Run) -> list[Layer]:
    """The layers that findings blame: those of failures first, then the most often blamed, then in the order of the probes.

    What is found six times in one probe, by six figures, is one blame.
    """
    findings = [finding for result in run.probes for finding in result.findings]
    layers = [finding.layer for finding in findings]

    def place(layer: Layer) -> tuple[bool, int, int]:
        own = [finding for finding in findings if finding.layer is layer]
        gravest = worst(finding.verdict for finding in own)
        return gravest is not Verdict.FAIL, -len({finding.code for finding in own}), layers.index(layer)

    return sorted(set(layers), key=place)


def schema() -> dict[str, Any]:
    """JSON schema of a run."""
    return msgspec.json.schema(Run)
