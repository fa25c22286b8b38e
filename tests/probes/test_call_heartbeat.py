"""call.heartbeat without a switch: how far a call came in, verdict and finding out; and which line it takes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from hwtest.probes import call_heartbeat
from hwtest.probes.call_heartbeat import PROBE, Seen, judge
from hwtest.probes.contract import Layer, NotMeasuredError, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.target import Line, Phone
from tests.probes.made import LIVE
from tests.probes.test_call_one import Switch, called

GOOD = Seen(rung_ms=15.0, answered_ms=30.0, phone_hears=True, caller_hears=True)


@pytest.mark.parametrize(
    ("seen", "code", "layer", "verdict"),
    [
        (GOOD, None, None, Verdict.PASS),
        (dataclasses.replace(GOOD, rung_ms=800.0), "slow", Layer.DAEMON, Verdict.WARN),
        (dataclasses.replace(GOOD, rung_ms=2500.0), "slow", Layer.DAEMON, Verdict.FAIL),
        (Seen(), "dead", Layer.DAEMON, Verdict.FAIL),
        (Seen(answered_ms=20.0), "dead", Layer.DAEMON, Verdict.FAIL),
        (Seen(rung_ms=15.0), "dead", Layer.DAEMON, Verdict.FAIL),
        (Seen(refused=404), "refused", Layer.DIALPLAN, Verdict.FAIL),
        (dataclasses.replace(GOOD, phone_hears=False), "unheard", Layer.SWITCH, Verdict.FAIL),
        (dataclasses.replace(GOOD, caller_hears=False), "unheard", Layer.SWITCH, Verdict.FAIL),
    ],
)
def test_judgement(seen: Seen, code: str | None, layer: Layer | None, verdict: Verdict) -> None:
    """Each for what it is."""
    sheet = Sheet(PROBE)
    judge(sheet, "999_test", seen, "call-id")
    found = [(f.code, f.layer) for f in sheet.findings]
    assert found == ([] if code is None else [(f"call.heartbeat.{code}", layer)])
    assert sheet.verdict is verdict


@pytest.mark.parametrize(
    ("lines", "taken"),
    [
        ({"test": "test1", "999_test": "test2"}, "999_test"),
        ({"999_test": "test1", "heartbeat": "test2"}, "heartbeat"),
        ({"999": None, "test": "test1"}, "test"),
        ({"999_test": "stranger", "test": "test1"}, "test"),
        ({"999": None}, None),
    ],
)
def test_which_line(tmp_path: Path, lines: dict[str, str | None], taken: str | None) -> None:
    """One that rings a phone which hwtest may be, and no other; the real 999 never is."""
    target = dataclasses.replace(
        LIVE,
        lines={
            name: Line(number=f"599{number}", phone=phone)
            for number, (name, phone) in enumerate(lines.items())
        },
        phones={name: Phone(user=name, password="p", registrar="127.0.0.1:1") for name in ("test1", "test2")},
    )
    site = Site(target, tmp_path)
    if taken is None:
        with pytest.raises(NotMeasuredError, match="no line that rings a test phone"):
            call_heartbeat._line(site)
    else:
        assert call_heartbeat._line(site)[0] == taken


async def test_a_line_that_greets_before_it_rings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its phone is waited for. This switch passes no audio on, so that is what is found, and not a dead way."""
    monkeypatch.setattr(call_heartbeat, "HEARD_SECONDS", 0.05)
    monkeypatch.setattr("hwtest.site.GOODBYE_SECONDS", 0.1)
    async with called(tmp_path, Switch(), PROBE) as result:
        pass
    assert [(f.code, f.layer) for f in result.findings] == [("call.heartbeat.unheard", Layer.SWITCH)]
