"""A proof as a page for people: docs/fault-finding.md. Made from the JSON of one run: no number on it is typed by hand."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from hwtest.lab.faults import NOT_SEEDED
from hwtest.probes.registry import UnknownProbeError, explain
from hwtest.prove.results import Clean, Proof, Seeded
from hwtest.report.markdown import table


def write(proof: Proof, file: Path) -> None:
    """The page, replacing the file whole; its folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(page(proof), encoding="utf-8")
    draft.replace(file)


def page(proof: Proof) -> str:
    """All of it."""
    return "\n".join(chain(_head(proof), _faults(proof.seeded), _clean(proof))) + "\n"


def _head(proof: Proof) -> Iterator[str]:
    machine, load = proof.machine, proof.load
    yield "# Fault finding"
    yield ""
    yield "<!-- Made by `hwtest prove --document docs/fault-finding.md --from FILE.json`: not to be edited by hand. -->"
    yield ""
    yield "`hwtest prove` seeds every fault of `hwtest lab fault --list` into a lab, one at a time, runs the probes that are to"
    yield "find it, and looks whether hwtest says so and tells a person to look at the right layer first. The runs without a"
    yield "fault show whether it blames anybody where nothing is wrong."
    yield ""
    yield (
        f"Begun {proof.started_utc}; hwtest {proof.hwtest_version}; {machine.processor}, {machine.cores} cores, "
        f"Linux {machine.kernel}, Asterisk {machine.asterisk};"
    )
    yield f"{load.seconds:.0f} s, load average {load.load_average:.1f} at the end, steal {load.steal_share:.1%}."
    yield ""
    if proof.interrupted:
        yield "**Ended before it was done**: what is not below was not looked at."
        yield ""


def _faults(seeded: Sequence[Seeded]) -> Iterator[str]:
    if not seeded:
        return
    found, right = sum(each.found for each in seeded), sum(each.right for each in seeded)
    yield "## Seeded faults"
    yield ""
    yield f"{found} of {len(seeded)} found, {right} of {len(seeded)} with the right layer named first."
    yield ""
    rows = [
        (
            each.fault,
            each.words,
            each.layer,
            _finder(each),
            ", ".join(each.looks_at),
            _result(each),
            f"{each.found_seconds:.0f}",
            f"{each.load_average:.1f}",
        )
        for each in seeded
    ]
    yield from table(("fault", "what is seeded", "layer", "found by", "look at", "result", "s", "load"), rows)
    yield from table(("fault", "what a technician reads", "which means"), map(_told, seeded))
    yield "Not seeded:"
    yield ""
    yield from (f"- {name}: {reason}." for name, reason in NOT_SEEDED.items())
    yield ""


def _told(each: Seeded) -> tuple[str, str, str]:
    """What was found, and what `hwtest explain` says of it today."""
    if each.finder is None:
        return each.fault, "", ""
    try:
        told = explain(each.finder.code)[1]
    except UnknownProbeError:  # the result is of an older hwtest
        told = None
    return each.fault, each.finder.summary, told.meaning if told is not None else ""


def _finder(each: Seeded) -> str:
    finder = each.finder or (each.blames[0] if each.blames else None)
    return f"{finder.code} ({finder.verdict.words})" if finder else f"none of {', '.join(each.probes)}"


def _result(each: Seeded) -> str:
    words = "found" if each.right else "found, WRONG LAYER FIRST" if each.found else "NOT FOUND"
    return f"{words}; STILL WRONG AFTERWARDS: {'; '.join(each.left)}" if each.left else words


def _clean(proof: Proof) -> Iterator[str]:
    if not proof.clean:
        return
    reds = sum(len(run.reds) for run in proof.clean)
    yield "## Runs without a fault"
    yield ""
    yield f"{len(proof.clean)} runs of `{' '.join(proof.clean_probes)}`, each with other dice: {reds} false reds."
    yield ""
    yield from table(
        ("run", "verdict", "s", "load", "false reds", "warnings", "not measured"),
        [
            (
                str(run.number),
                run.verdict.words,
                f"{run.seconds:.0f}",
                f"{run.load_average:.1f}",
                _named(run, red=True),
                _named(run, red=False),
                "; ".join(run.not_measured),
            )
            for run in proof.clean
        ],
    )


def _named(run: Clean, *, red: bool) -> str:
    return "; ".join(f"{blame.code}: {blame.summary}" for blame in (run.reds if red else run.warnings))
