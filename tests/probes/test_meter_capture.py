"""meter.capture: what the capture saw in, figures out."""

from __future__ import annotations

from hwtest.capture import Record, Taken
from hwtest.probes import meter_capture
from hwtest.probes.sheet import Sheet
from hwtest.useragent.transport import Stamp


def test_a_packet_that_was_dropped_is_missing_once() -> None:
    """The kernel counts as dropped what is then not seen: that is one loss and not two."""
    sent = {f"call-{number}": Stamp(0, 0) for number in range(100)}
    seen = [Record(50_000, 1, 2, "OPTIONS", "OPTIONS", 1, name, "b", False, "f") for name in list(sent)[3:]]
    for dropped, missing in ((3, 3), (0, 3), (5, 5)):
        sheet = Sheet(meter_capture.PROBE)
        meter_capture.judge(sheet, sent, Taken(records=seen, dropped=dropped))
        assert next(figure.value for figure in sheet.figures if figure.name == "missing") == missing
