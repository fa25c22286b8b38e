"""Probes and targets that tests make."""

from __future__ import annotations

from pathlib import Path

from hwtest.lab.contract import Address
from hwtest.probes.contract import Explanation, Layer, Level, Measure, Probe, Threshold
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.target import Kind, Line, Target

LIVE = Target(
    name="an appliance",
    kind=Kind.LIVE,
    source=Path("appliance.toml"),
    sip=Address(host="127.0.0.1", port=5060),
    caller="07700900123",
    lines={"test": Line(number="5990"), "heartbeat": Line(number="9990", looks_like_emergency=True)},
)


async def nothing(_site: Site, _sheet: Sheet) -> None:
    """A probe that writes nothing down."""


def made_probe(measure: Measure = nothing, name: str = "made.up", number: int = 99, **more: object) -> Probe:
    """One with a threshold on `delay` (p95, 10 and 20 ms), one on `lost` (%) and one on `heard` (at least)."""

    def threshold(figure: str, statistic: str, passes: float, warns: float, **kind: bool) -> Threshold:
        return Threshold(
            figure=figure,
            statistic=statistic,
            passes=passes,
            warns=warns,
            unit="ms",
            clause="own",
            code=f"{name}.bad",
            **kind,
        )

    values: dict[str, object] = {
        "level": Level.SAFE,
        "seconds": 0.1,
        "thresholds": (
            threshold("delay", "p95", 10.0, 20.0),
            threshold("lost", "value", 0.0, 5.0),
            threshold("heard", "value", 90.0, 50.0, at_least=True),
        ),
        **more,
    }
    return Probe(
        name=name,
        number=number,
        title="Made for a test",
        term="nothing",
        reference="own",
        meaning="None.",
        explanations=(
            Explanation(
                code=f"{name}.bad",
                layer=Layer.TRUNK,
                meaning="It is bad.",
                caller_notices="Nothing.",
                causes=("chance",),
                confirm="true",
                mend="Nothing.",
            ),
        ),
        measure=measure,
        **values,  # type: ignore[arg-type]
    )
