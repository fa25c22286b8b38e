"""load.register: a wave of registrations in, verdict and blame out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hwtest.capture import Record
from hwtest.probes.contract import Layer, NotMeasuredError, Verdict
from hwtest.probes.load_register import PROBE, judge, measure, registrations
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.target import Phone
from tests.probes.made import LIVE
from tests.probes.test_load_burst import WELL
from tests.sipp.made import CALLER, record


def way_in(name: str, *answers: str, at_ms: float = 0, took_ms: float = 10) -> list[Record]:
    """REGISTER and these answers in turn; each challenge is answered."""
    made = []
    for round_, status in enumerate(answers or ("",), 1):
        sent = record(name, "REGISTER", at_ms, method="REGISTER", branch=f"{round_}")
        made.append(replace(sent, sequence_number=round_))
        at_ms += took_ms
        if status:
            made.append(
                replace(
                    record(name, status, at_ms, method="REGISTER", branch=f"{round_}"), sequence_number=round_
                )
            )
    return made


def judged(*ways: list[Record]) -> Sheet:
    """The sheet of a wave of these."""
    sheet = Sheet(PROBE)
    found = registrations([one for way in ways for one in way], {CALLER})
    judge(sheet, found, replace(WELL, asked=len(ways)))
    return sheet


def test_everybody_gets_in() -> None:
    """The delay has the round with the challenge in it."""
    sheet = judged(*[way_in(f"{place}", "401", "200") for place in range(50)])
    assert (sheet.verdict, sheet.findings) == (Verdict.PASS, [])
    assert (
        next(figure.value for figure in sheet.figures if figure.name == "registration_request_delay") == 20.0
    )


@pytest.mark.parametrize(
    ("answers", "word", "layer"),
    [
        (("401", "401"), "refused", Layer.PHONE),
        (("401", "403"), "refused", Layer.PHONE),
        (("401", "503"), "ineffective", Layer.SWITCH),
        (("401", ""), "ineffective", Layer.SWITCH),
        ((), "ineffective", Layer.SWITCH),
    ],
)
def test_who_is_blamed(answers: tuple[str, ...], word: str, layer: Layer) -> None:
    """One of fifty is a failure."""
    sheet = judged(*[way_in(f"{place}", "401", "200") for place in range(49)], way_in("bad", *answers))
    assert [(one.code, one.verdict, one.layer) for one in sheet.findings] == [
        (f"load.register.{word}", Verdict.FAIL, layer)
    ]


def test_slow() -> None:
    """Half a second is a warning."""
    sheet = judged(*[way_in(f"{place}", "401", "200", took_ms=250) for place in range(50)])
    assert [(one.code, one.verdict) for one in sheet.findings] == [("load.register.slow", Verdict.WARN)]


def test_what_was_sent_again_is_counted_once() -> None:
    """IRA ignores retransmissions (RFC 6076 §4.2)."""
    ways = way_in("a", "401", "200")
    found = registrations([replace(ways[0], stamp_ns=-5), *ways], {CALLER})
    assert [(one.status, one.repeated) for one in found] == [(200, 1)]


def test_a_wave_that_was_not_offered() -> None:
    """Cannot pass."""
    found = registrations(way_in("a", "401", "200"), {CALLER})
    with pytest.raises(NotMeasuredError, match="1 of 50"):
        judge(Sheet(PROBE), found, replace(WELL, asked=50))


@pytest.mark.parametrize("password", ["x;y", "x]y", "x y", 'x"y', "x,y"])
async def test_a_password_that_sipp_cannot_say(password: str, tmp_path: Path) -> None:
    """Is no wrong password of a phone, and is not shown."""
    phones = {"one": Phone(user="one", password=password, registrar="127.0.0.1:5060")}
    async with Site(replace(LIVE, phones=phones), tmp_path) as site:
        with pytest.raises(NotMeasuredError, match="phone one has a sign") as refused:
            await measure(site, Sheet(PROBE))
    assert password not in refused.value.reason
