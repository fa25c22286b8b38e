"""Every probe, in the order of the catalogue. A probe is a module here that has a `PROBE`; its file is named after it."""

from __future__ import annotations

import difflib
import pkgutil
from collections.abc import Sequence
from importlib import import_module

import hwtest.probes
from hwtest.probes.contract import Explanation, Level, Probe

NOT_PROBES = frozenset({"contract", "registry", "sheet"})
QUICK = (1, 2, 3, 4, 5, 8, 10, 11, 14)
WATCH = (8, 10, 11, 39)
GROUPS = {
    "quick": "Is the meter good, is the switch there, does one call get through? Under a minute.",
    "accept": "Everything that is safe on a live appliance, one call at a time; for the handover.",
    "lab": "Everything, faults and loads included. Only on a lab, with --lab.",
    "watch": "What is repeated every few minutes.",
}


class UnknownProbeError(Exception):
    """There is no probe, group or code of this name. The message says which are near."""


def all_probes() -> list[Probe]:
    """In the order of the catalogue."""
    names = [module.name for module in pkgutil.iter_modules(hwtest.probes.__path__)]
    probes: list[Probe] = [
        import_module(f"hwtest.probes.{name}").PROBE for name in names if name not in NOT_PROBES
    ]
    return sorted(probes, key=lambda probe: probe.number)


def choose(names: Sequence[str]) -> list[Probe]:
    """Probes by name, by the part before the dot, or by group; each once, in the order of the catalogue."""
    probes = all_probes()
    chosen = {probe.name for name in names for probe in _named(name, probes)}
    return [probe for probe in probes if probe.name in chosen]


def _named(name: str, probes: Sequence[Probe]) -> list[Probe]:
    match name:
        case "quick":
            return [probe for probe in probes if probe.number in QUICK]
        case "watch":
            return [probe for probe in probes if probe.number in WATCH]
        case "accept":
            return [probe for probe in probes if probe.level is Level.SAFE]
        case "lab":
            return list(probes)
    found = [probe for probe in probes if name in (probe.name, probe.name.partition(".")[0])]
    if not found:
        known = [*GROUPS, *(probe.name for probe in probes)]
        raise UnknownProbeError(f"There is no probe {name!r}. {_nearest(name, known)}")
    return found


def explain(name: str) -> tuple[Probe, Explanation | None]:
    """A probe by its name, or one of its findings by its code."""
    probes = all_probes()
    for probe in probes:
        if probe.name == name:
            return probe, None
        for explanation in probe.explanations:
            if explanation.code == name:
                return probe, explanation
    known = [text for p in probes for text in (p.name, *(e.code for e in p.explanations))]
    raise UnknownProbeError(f"There is no probe or finding {name!r}. {_nearest(name, known)}")


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else "`hwtest list` shows all."
