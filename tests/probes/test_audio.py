"""What the audio probes say of what was heard: each fault has a finding of its own that names the right layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwtest.audio.signal import Samples, silence, tone, write_wav
from hwtest.audio.stream import Packet
from hwtest.audio.stream import measure as measure_stream
from hwtest.probes import audio_dtmf, audio_latency, audio_quality, audio_twoway
from hwtest.probes.contract import Layer, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.softphone.latency import Mouth
from hwtest.softphone.messages import Direction, JitterBuffer, Statistics
from hwtest.softphone.phone import SoftphoneCall

OWN, OTHER, STRANGER = 437, 829, 1489


class _Nobody:
    """A call is only asked for its Call-ID here."""


def call() -> SoftphoneCall:
    """A call that is over."""
    return SoftphoneCall(_Nobody(), "call-1", "abc", "sip:peer@127.0.0.1")  # type: ignore[arg-type]


def statistics(packets: int, discarded_frames: int = 0) -> Statistics:
    """Of a stream that brought so many packets."""
    received = Direction(
        packets=packets, lost=0, discarded=0, repeated=0, reordered=0, jitter=None, reports=0
    )
    return Statistics(
        codec="PCMA/8000",
        local="127.0.0.1:4000",
        remote="127.0.0.1:5000",
        received=received,
        sent=received,
        round_trip=None,
        jitter_buffer=JitterBuffer(
            prefetch_frames=4,
            least_prefetch_frames=4,
            most_prefetch_frames=4,
            delay_mean_ms=40,
            delay_most_ms=60,
            lost_frames=0,
            discarded_frames=discarded_frames,
            empty_frames=0,
        ),
    )


def twoway(heard: Samples, folder: Path, packets: int = 200) -> Sheet:
    """The sheet of a caller who heard this."""
    file = folder / "heard.wav"
    write_wav(file, heard)
    sheet = Sheet(audio_twoway.PROBE)
    audio_twoway._judge(sheet, audio_twoway.Side("caller", call(), OWN, OTHER), statistics(packets), file)
    return sheet


def found(sheet: Sheet) -> dict[str, Layer]:
    """The codes of its findings and whom they blame."""
    return {finding.code: finding.layer for finding in sheet.findings}


def test_who_hears_the_other_hears_well(tmp_path: Path) -> None:
    """No finding, and a level that is the one spoken."""
    sheet = twoway(np.concatenate([silence(0.3), tone(OTHER, 3.0)]), tmp_path)
    assert (sheet.verdict, found(sheet)) == (Verdict.PASS, {})
    assert sheet.figures[0].value == pytest.approx(-10, abs=0.3)


@pytest.mark.parametrize(
    ("heard", "packets", "codes"),
    [
        (silence(4.0), 0, {"audio.twoway.unheard": Layer.NETWORK}),
        (silence(4.0), 200, {"audio.twoway.mute": Layer.SWITCH}),
        (tone(OTHER, 4.0, -50), 200, {"audio.twoway.mute": Layer.SWITCH, "audio.twoway.faint": Layer.SWITCH}),
        (tone(OTHER, 4.0, -35), 200, {"audio.twoway.faint": Layer.SWITCH}),
        (np.concatenate([silence(3.5), tone(OTHER, 0.5)]), 200, {"audio.twoway.late": Layer.SWITCH}),
        (np.concatenate([tone(OTHER, 1.0), silence(3.0)]), 60, {"audio.twoway.broken": Layer.NETWORK}),
        (np.concatenate([tone(OTHER, 0.3), silence(0.3)] * 7), 200, {"audio.twoway.broken": Layer.NETWORK}),
        (tone(OTHER, 4.0) + tone(STRANGER, 4.0, -20), 200, {"audio.twoway.crossed": Layer.SWITCH}),
        (tone(OTHER, 4.0) + tone(OWN, 4.0, -25), 200, {"audio.twoway.crossed": Layer.SWITCH}),
    ],
    ids=[
        "no packets",
        "packets without voice",
        "too soft",
        "soft",
        "late",
        "breaks off",
        "in pieces",
        "another call",
        "echo",
    ],
)
def test_each_fault_of_two_way_audio(
    heard: Samples, packets: int, codes: dict[str, Layer], tmp_path: Path
) -> None:
    """By what arrived and what was in it."""
    sheet = twoway(heard, tmp_path, packets)
    assert found(sheet) == codes
    assert sheet.verdict in (Verdict.WARN, Verdict.FAIL)


@pytest.mark.parametrize(
    ("heard", "right", "extra"),
    [
        (audio_dtmf.KEYS, 14, 0),
        ("", 0, 0),
        (audio_dtmf.KEYS.replace("55", "5"), 13, 0),
        (audio_dtmf.KEYS.replace("3", "33"), 14, 1),
        (audio_dtmf.KEYS.replace("7", "D"), 13, 1),
    ],
    ids=["all", "none", "two taken for one", "one taken for two", "lost and wrong"],
)
def test_keys_that_are_lost_or_too_many(heard: str, right: int, extra: int) -> None:
    """Each counted as what it is."""
    assert audio_dtmf.compared(audio_dtmf.KEYS, heard) == (right, extra)
    sheet = Sheet(audio_dtmf.PROBE)
    audio_dtmf._judge(sheet, "caller", heard, "abc")
    assert (sheet.verdict is Verdict.PASS) == (heard == audio_dtmf.KEYS)


def quality(
    numbers: list[int],
    late_ms: dict[int, float] | None = None,
    discarded: int = 0,
    mouths: int = 3,
    dropped: int = 0,
) -> Sheet:
    """The sheet of one direction with these packets."""
    late = late_ms or {}
    packets = [Packet(n, n * 160, round((n * 20 + late.get(n, 0)) * 1e6)) for n in numbers]
    stream = measure_stream(packets)
    heard = audio_quality.Heard(
        name="agent",
        stream=stream,
        statistics=statistics(len(numbers), discarded),
        mouths=[Mouth(milliseconds=60.0, confidence=9.0)] * mouths,
        call_id="abc",
        dropped=dropped,
    )
    sheet = Sheet(audio_quality.PROBE)
    audio_quality._judge(sheet, heard)
    return sheet


def value(sheet: Sheet, name: str) -> float | None:
    """Of one of its figures."""
    return next(figure.value for figure in sheet.figures if figure.name == name)


def test_a_clean_stream() -> None:
    """Passes with R near its best; bursts without loss have no density."""
    sheet = quality(list(range(600)))
    assert (sheet.verdict, found(sheet)) == (Verdict.PASS, {})
    assert value(sheet, "rating_at_agent") == pytest.approx(93.2 - 0.024 * 60)
    assert value(sheet, "burst_density_at_agent") is None
    assert value(sheet, "round_trip_at_agent") is None


def test_a_capture_that_lost_packets_blames_nobody() -> None:
    """What is missing may be missing in the meter alone: neither loss nor R is known."""
    sheet = quality([number for number in range(600) if number % 20], dropped=30)
    assert (sheet.verdict, found(sheet)) == (Verdict.NOT_MEASURED, {})
    assert value(sheet, "lost_at_agent") is value(sheet, "rating_at_agent") is None


def test_three_percent_lost_in_bursts() -> None:
    """Is found as loss."""
    sheet = quality([n for n in range(600) if n % 100 not in (40, 41, 42, 43)])
    assert found(sheet)["audio.quality.lost"] is Layer.NETWORK
    assert sheet.verdict is Verdict.FAIL
    assert value(sheet, "lost_at_agent") == pytest.approx(4.0)


def test_eighty_milliseconds_of_jitter() -> None:
    """Is found as jitter, by percentiles as well as by RFC 3550."""
    sheet = quality(list(range(600)), {n: 80.0 * (n % 3 == 0) for n in range(600)})
    assert found(sheet)["audio.quality.jitter"] is Layer.NETWORK


def test_what_came_too_late_counts_as_not_heard() -> None:
    """R is made from what was heard, not from what arrived."""
    late, clean = quality(list(range(600)), discarded=120), quality(list(range(600)))
    before, after = value(clean, "rating_at_agent"), value(late, "rating_at_agent")
    assert before is not None and after is not None and after < before - 15


def test_without_a_known_delay_there_is_no_rating() -> None:
    """Not measured, and never the best there is."""
    sheet = quality(list(range(600)), mouths=0)
    assert value(sheet, "rating_at_agent") is value(sheet, "opinion_at_agent") is None
    assert sheet.verdict is Verdict.NOT_MEASURED


@pytest.mark.parametrize(
    ("measured", "left", "said"),
    [
        ([70.0, 80.0], [10.0, 20.0], ""),
        ([55.0, 62.0, 64.0], [0.0, 2.0, 4.0], "1 of 3 came out below nought"),
        ([40.0, 45.0, 49.0], [], "more than all of it"),
        ([], [], ""),
    ],
)
def test_no_delay_is_less_than_nought(measured: list[float], left: list[float], said: str) -> None:
    """What the frames leave unknown counts as nought; phones that were slower alone leave nothing to tell."""
    taken, words = audio_latency.without_share(measured, 60.0)
    assert taken == left
    assert said in words
