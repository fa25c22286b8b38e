"""Every probe has every text that makes it one, in plain words; each is found by name, group and code."""

from __future__ import annotations

import re

import pytest

from hwtest.probes.contract import Probe, Verdict
from hwtest.probes.registry import GROUPS, UnknownProbeError, all_probes, choose, explain

PROBES = all_probes()
JARGON = re.compile(r"\b(utili[sz]e|leverage|robust|seamless|NaN|TODO|FIXME|XXX|lorem)\b", re.IGNORECASE)


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_a_probe_is_whole(probe: Probe) -> None:
    """Term, reference, thresholds with clauses, meaning, and for each finding everything that a person needs."""
    assert re.fullmatch(r"[a-z]+\.[a-z]+", probe.name)
    assert probe.measure.__module__ == f"hwtest.probes.{probe.name.replace('.', '_')}"
    assert probe.seconds > 0
    for text in (probe.title, probe.term, probe.reference, probe.meaning):
        assert text.strip() == text and text
    assert probe.meaning.endswith(".")
    assert len({threshold.figure for threshold in probe.thresholds}) == len(probe.thresholds)
    codes = [explanation.code for explanation in probe.explanations]
    assert codes and len(set(codes)) == len(codes)
    for threshold in probe.thresholds:
        assert threshold.code in codes
        assert threshold.clause
        assert threshold.judge(threshold.passes) is Verdict.PASS
        assert threshold.judge(threshold.warns) in (Verdict.PASS, Verdict.WARN)


@pytest.mark.parametrize(
    "explanation",
    [e for probe in PROBES for e in probe.explanations],
    ids=lambda explanation: explanation.code,
)
def test_a_finding_says_everything(explanation: object) -> None:
    """In whole sentences where they are sentences, the causes in an order, a way to confirm and to mend."""
    from hwtest.probes.contract import Explanation

    assert isinstance(explanation, Explanation)
    owner = next(probe for probe in PROBES if explanation in probe.explanations)
    assert re.fullmatch(re.escape(owner.name) + r"\.[a-z-]+", explanation.code)
    for text in (explanation.meaning, explanation.caller_notices, explanation.mend):
        assert len(text) > 15 and text.endswith("."), text
    assert len(explanation.causes) >= 2
    assert explanation.confirm
    words = " ".join(
        (
            explanation.meaning,
            explanation.caller_notices,
            explanation.mend,
            explanation.confirm,
            *explanation.causes,
        )
    )
    assert not JARGON.search(words)
    assert words.isprintable()


def test_the_catalogue_has_an_order() -> None:
    """Numbers are unique and rise."""
    numbers = [probe.number for probe in PROBES]
    assert numbers == sorted(set(numbers))


def test_names_areas_and_groups() -> None:
    """Each probe once, in the order of the catalogue, however it was named."""
    assert [probe.name for probe in choose(["sip.options", "sip", "quick"])].count("sip.options") == 1
    for group in GROUPS:
        chosen = choose([group])
        assert [probe.number for probe in chosen] == sorted(probe.number for probe in chosen)
    assert choose(["lab"]) == PROBES
    assert all(probe.level.value == "safe" for probe in choose(["accept"]))
    with pytest.raises(UnknownProbeError, match=r"Did you mean sip\.options"):
        choose(["sip.option"])


def test_every_code_is_explained() -> None:
    """By `hwtest explain`."""
    for probe in PROBES:
        assert explain(probe.name) == (probe, None)
        for explanation in probe.explanations:
            assert explain(explanation.code) == (probe, explanation)
    with pytest.raises(UnknownProbeError):
        explain("nothing.of.it")
