"""Probe 2: does the capture see every packet once, and stamp it when it was there?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from hwtest.capture import Record, Taken
from hwtest.lab.contract import Address
from hwtest.probes.contract import Evidence, Explanation, Layer, Level, Need, Probe, Threshold
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.useragent.dialog import Dialog, new_tag
from hwtest.useragent.transport import Endpoint, Stamp

PACKETS = 1000
BURST = 10
GAP_SECONDS = 0.01
HOST = "127.0.0.1"


async def measure(site: Site, sheet: Sheet) -> None:
    """A thousand SIP messages to ourselves, ten at a time, and what the capture says of them."""
    far = Endpoint(HOST, 0, lambda *_: None)
    near = Endpoint(HOST, 0, lambda *_: None)
    mark = new_tag()
    try:
        async with site.capture(Address(host=far.address[0], port=far.address[1])) as capture:
            sent = await _send(site, near, far, mark)
            taken = await capture.take()
    finally:
        near.close()
        far.close()
    judge(sheet, sent, taken)


def judge(sheet: Sheet, sent: Mapping[str, Stamp], taken: Taken) -> None:
    """Figures of what was taken, by when each message was sent."""
    seen = {name: records for name, records in _by_call_id(taken.records).items() if name in sent}
    missing, doubled = len(sent) - len(seen), sum(len(records) - 1 for records in seen.values())
    lags = [(records[0].stamp_ns - sent[name].utc_ns) / 1e6 for name, records in seen.items()]
    dropped = taken.dropped or 0
    evidence = [
        Evidence(
            text=f"{len(sent)} sent, {len(seen)} seen, {doubled} of them twice; the kernel counts {dropped} dropped"
        )
    ]
    # what was dropped is missing too, unless it was somebody else's
    sheet.value("missing", "packets", max(missing, dropped), n=len(sent), evidence=evidence)
    sheet.value("doubled", "packets", doubled, n=len(sent), evidence=evidence)
    sheet.distribution(
        "stamp_lag", "ms", lags, note="kernel's stamp less ours just before sending", evidence=evidence
    )


async def _send(site: Site, near: Endpoint, far: Endpoint, mark: str) -> dict[str, Stamp]:
    """When each was sent, by its Call-ID."""
    sent = dict[str, Stamp]()
    for number in range(PACKETS):
        name = f"{mark}-{number}"
        sent[name] = near.send(_message(near, far, name), far.address)
        if number % BURST == BURST - 1:
            site.say(f"{number + 1} of {PACKETS}")
            await asyncio.sleep(GAP_SECONDS)
    return sent


def _message(near: Endpoint, far: Endpoint, call_id: str) -> bytes:
    source, target = ("{}:{}".format(*end.address) for end in (near, far))
    dialog = Dialog(
        call_id=call_id,
        local=f"<sip:hwtest@{source}>;tag={call_id}",
        local_tag=call_id,
        remote=f"<sip:{target}>",
        target=f"sip:{target}",
        contact=f"<sip:hwtest@{source}>",
    )
    return dialog.request("OPTIONS", f"SIP/2.0/UDP {source};branch=z9hG4bK{call_id}").format()


def _by_call_id(records: list[Record]) -> dict[str, list[Record]]:
    found = dict[str, list[Record]]()
    for record in records:
        found.setdefault(record.call_id, []).append(record)
    return found


PROBE = Probe(
    name="meter.capture",
    number=2,
    title="The capture sees every packet once",
    level=Level.SAFE,
    needs=frozenset({Need.CAPTURE}),
    seconds=3.0,
    term="t1 and t4 on the wire; SO_TIMESTAMPNS",
    reference="RFC 6076 §3 (t1, t4; errors under ±1 ms); socket(7), SO_TIMESTAMPNS",
    meaning=(
        "When a message was on the wire is read from this capture. A packet that it loses looks like a loss of the switch; "
        "one that it shows twice looks like a retransmission; a late stamp makes every delay wrong."
    ),
    thresholds=(
        Threshold(
            figure="missing",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="packets",
            clause="own: what the capture loses would be blamed on the target",
            code="meter.capture.blind",
        ),
        Threshold(
            figure="doubled",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="packets",
            clause="own: a packet seen twice would count as sent again",
            code="meter.capture.doubled",
        ),
        Threshold(
            figure="stamp_lag",
            statistic="p99",
            passes=1.0,
            warns=5.0,
            unit="ms",
            clause="RFC 6076 §3: under ±1 ms",
            code="meter.capture.late",
        ),
    ),
    explanations=(
        Explanation(
            code="meter.capture.blind",
            layer=Layer.METER,
            meaning="The capture did not see every packet that was sent.",
            caller_notices="Nothing: this is about the measuring machine.",
            causes=(
                "the machine is too busy to read the capture's buffer in time",
                "another program's traffic on the same port fills it",
            ),
            confirm="hwtest run meter.timing meter.capture at a quiet moment; nstat -az UdpRcvbufErrors",
            mend="Measure from a quieter machine, or as root, which lets the capture have a larger buffer.",
        ),
        Explanation(
            code="meter.capture.doubled",
            layer=Layer.METER,
            meaning="The capture shows packets more than once.",
            caller_notices="Nothing: this is about the measuring machine.",
            causes=(
                "a bridge or a mirror port brings each packet by two ways",
                "the filter that drops the outgoing copy on loopback is not in force",
            ),
            confirm="tshark -i any -f 'udp port 5060' while one OPTIONS is sent",
            mend="Capture on one interface alone; take the mirror away.",
        ),
        Explanation(
            code="meter.capture.late",
            layer=Layer.METER,
            meaning="More than a millisecond passes between a send and its stamp on the wire.",
            caller_notices="Nothing: this is about the measuring machine.",
            causes=(
                "the processors are busy",
                "the wall clock was stepped or slewed while it measured",
                "the machine is a virtual one on a crowded host",
            ),
            confirm="hwtest run meter.timing clock.sync",
            mend="Measure when it is quiet, with the clock at rest.",
        ),
    ),
    measure=measure,
)
