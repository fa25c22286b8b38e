"""What a proof of hwtest came to: a row for each fault that was seeded, and one for each run without a fault."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from hwtest.bench.machine import Load, Machine
from hwtest.probes.contract import Verdict
from hwtest.report.result import Run, blamed
from hwtest.report.writing import write_private

SCHEMA_VERSION = 1
FOUND = (Verdict.FAIL, Verdict.WARN)


class UnreadableError(Exception):
    """A file is no result of `hwtest prove`."""


class Blame(msgspec.Struct, frozen=True, kw_only=True):
    """One finding, in short."""

    probe: str
    code: str
    layer: str
    verdict: Verdict
    summary: str


class Seeded(msgspec.Struct, frozen=True, kw_only=True):
    """One fault that was seeded, and what hwtest said of it."""

    fault: str
    words: str
    layer: str
    """Whose fault it is."""
    probes: tuple[str, ...]
    """Those that ran while it was there."""
    blames: tuple[Blame, ...]
    """Failures and warnings, in the order of the probes."""
    looks_at: tuple[str, ...]
    """The layers at which hwtest tells a person to look, the first first."""
    not_measured: tuple[str, ...]
    """Reasons of the probes that could not measure."""
    found_seconds: float
    """How long these probes took: what a technician waits for the verdict."""
    whole_seconds: float
    """With the seeding and the taking away."""
    load_average: float
    left: tuple[str, ...]
    """What was still wrong when the fault had been taken away: a call and the control links are tried."""

    @property
    def found(self) -> bool:
        """Whether anything was said at all."""
        return bool(self.blames)

    @property
    def right(self) -> bool:
        """Whether the first place at which hwtest tells a person to look is the right one."""
        return self.looks_at[:1] == (self.layer,)

    @property
    def finder(self) -> Blame | None:
        """The first of the gravest findings that blames the right layer."""
        of_layer = [blame for blame in self.blames if blame.layer == self.layer]
        return min(of_layer, key=lambda blame: blame.verdict is not Verdict.FAIL, default=None)


class Clean(msgspec.Struct, frozen=True, kw_only=True):
    """One run without a fault."""

    number: int
    seed: int
    verdict: Verdict
    seconds: float
    load_average: float
    reds: tuple[Blame, ...]
    """Failures: each is a false one."""
    warnings: tuple[Blame, ...]
    not_measured: tuple[str, ...]


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    schema_version: int = SCHEMA_VERSION
    hwtest_version: str
    started_utc: str
    machine: Machine
    load: Load
    clean_probes: tuple[str, ...]
    """What was asked for in a clean run: probes or groups."""
    seeded: tuple[Seeded, ...]
    clean: tuple[Clean, ...]
    interrupted: bool = False
    """Whether it was ended before everything that was asked for was looked at."""

    @property
    def wrong(self) -> list[str]:
        """Everything that is not as it must be, a line each."""
        found = [
            *(f"{each.fault}: not found" for each in self.seeded if not each.found),
            *(
                f"{each.fault}: hwtest says to look at {', '.join(each.looks_at)}, it is {each.layer}"
                for each in self.seeded
                if each.found and not each.right
            ),
            *(f"after {each.fault}: {left}" for each in self.seeded for left in each.left),
        ]
        for run in self.clean:
            found += [f"clean run {run.number}: {red.code}: {red.summary}" for red in run.reds]
            found += [f"clean run {run.number}: not measured: {reason}" for reason in run.not_measured]
        return found


def blames_of(run: Run, verdicts: Iterable[Verdict]) -> tuple[Blame, ...]:
    """The findings of a run with one of these verdicts."""
    wanted = set(verdicts)
    return tuple(
        Blame(
            probe=probe.name,
            code=finding.code,
            layer=finding.layer.value,
            verdict=finding.verdict,
            summary=finding.summary,
        )
        for probe in run.probes
        for finding in probe.findings
        if finding.verdict in wanted
    )


def looks_at(run: Run) -> tuple[str, ...]:
    """The layers that a person is told to look at, the first first."""
    return tuple(layer.value for layer in blamed(run))


def not_measured(run: Run) -> tuple[str, ...]:
    """Why probes could not measure."""
    return tuple(f"{probe.name}: {probe.reason}" for probe in run.probes if probe.reason is not None)


def read(file: Path) -> Proof:
    """A result that was written by --json. Raises UnreadableError."""
    try:
        content = file.read_bytes()
        version = msgspec.json.decode(content, type=dict).get("schema_version")
        if version is not None and version != SCHEMA_VERSION:
            raise UnreadableError(f"{file}: has schema {version!r}, this hwtest reads {SCHEMA_VERSION}.")
        return msgspec.json.decode(content, type=Proof)
    except OSError as error:
        raise UnreadableError(f"{file}: cannot be read: {error.strerror}.") from None
    except msgspec.DecodeError as error:
        raise UnreadableError(f"{file}: is no result of `hwtest prove --json` ({error}).") from None


def write(proof: Proof, file: Path) -> None:
    """Keep it, for its owner only, in a folder that is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_private(file, msgspec.json.format(msgspec.json.encode(proof), indent=2) + b"\n")
