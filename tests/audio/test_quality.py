"""What is made of received packets, against definitions worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwtest.audio.emodel import (
    BEST,
    G711_BARE,
    delay_impairment,
    listening_rating,
    loss_impairment,
    opinion,
    rating,
)
from hwtest.audio.stream import Packet, burst_ratio, bursts, measure


def stream(numbers: list[int], late_ms: dict[int, float] | None = None, start: int = 0) -> list[Packet]:
    """Packets of 20 ms with these numbers, each on time or late."""
    late = late_ms or {}
    return [
        Packet(
            (start + number) % 65536,
            (number * 160 + 2**32 - 1000) % 2**32,
            round((number * 20 + late.get(number, 0)) * 1e6),
        )
        for number in numbers
    ]


def test_a_perfect_stream() -> None:
    """Nothing lost, no jitter, no variation, across the ends of sequence numbers and time stamps."""
    figures = measure(stream(list(range(200)), start=65500))
    assert (figures.expected, figures.received, figures.lost, figures.repeated, figures.reordered) == (
        200,
        200,
        0,
        0,
        0,
    )
    assert figures.jitter_ms == pytest.approx(0, abs=1e-9)
    assert max(figures.variation_ms) == pytest.approx(0, abs=1e-9)
    assert (figures.bursts.burst_density, figures.bursts.gap_density) == (None, 0)


def test_lost_repeated_and_reordered() -> None:
    """Each counted once, as what it is."""
    figures = measure(stream([0, 1, 1, 3, 2, 5, 6, 6]))
    assert (figures.expected, figures.received, figures.lost) == (7, 6, 1)
    assert (figures.repeated, figures.reordered) == (2, 1)


def test_a_sender_that_begins_anew_has_lost_nothing() -> None:
    """As at a re-INVITE: the same source with other numbers and another clock. A real loss in either part still counts."""
    before, after = stream(list(range(100))), stream([0, 1, 3, 4], start=40_000)
    anew = [
        Packet(packet.sequence, packet.timestamp ^ 0x5555_0000, packet.arrival_ns + 3_000_000_000)
        for packet in after
    ]
    figures = measure([*before, *anew])
    assert (figures.expected, figures.received, figures.lost) == (105, 104, 1)
    assert max(figures.variation_ms) == pytest.approx(0, abs=1e-6)
    assert figures.jitter_ms == pytest.approx(0, abs=1e-6)
    assert figures.came == [*[True] * 102, False, True, True]


def test_one_packet_that_is_of_something_else() -> None:
    """A number that nothing follows on is no new beginning, and no loss of thousands (RFC 3550 appendix A.1)."""
    packets = stream(list(range(50)))
    packets.insert(25, Packet(30_000, 7, packets[25].arrival_ns))
    figures = measure(packets)
    assert (figures.expected, figures.received, figures.lost, figures.reordered) == (50, 50, 0, 0)


def test_nothing_received_is_unknown() -> None:
    """No share, no jitter; not zero."""
    figures = measure([])
    assert (figures.expected, figures.loss_share, figures.jitter_ms) == (0, None, None)


def test_jitter_by_rfc_3550() -> None:
    """One packet 8 ms late: two differences of 8 ms, smoothed by 16 each."""
    figures = measure(stream(list(range(4)), {2: 8.0}))
    after_first = 8 / 16
    assert figures.jitter_ms == pytest.approx(after_first + (8 - after_first) / 16)
    assert figures.variation_ms == pytest.approx([0, 0, 8, 0])


def test_bursts_by_rfc_3611() -> None:
    """Losses up to 16 packets apart are one burst; a loss alone belongs to the gap."""
    received = [True] * 100
    for lost in (10, 12, 20, 60):  # one burst from 10 to 20; 60 alone
        received[lost] = False
    found = bursts(received)
    assert (found.count, found.burst_packets) == (1, 11)
    assert found.burst_density == pytest.approx(3 / 11)
    assert found.gap_density == pytest.approx(1 / 89)
    assert found.gap_packets == pytest.approx(89 / 2)


def test_sixteen_received_in_a_row_end_a_burst() -> None:
    """And fifteen do not."""
    for between, count in ((15, 1), (16, 0)):
        assert bursts([True] * 20 + [False] + [True] * between + [False] + [True] * 20).count == count


@given(st.lists(st.booleans(), max_size=300))
def test_every_lost_packet_is_in_a_burst_or_in_a_gap(received: list[bool]) -> None:
    """Densities by lengths give the losses back."""
    found = bursts(received)
    in_bursts = found.burst_packets * found.count
    in_gaps = found.gap_packets * (found.count + 1)
    assert in_bursts + in_gaps == pytest.approx(len(received))
    lost = (found.burst_density or 0) * in_bursts + (found.gap_density or 0) * in_gaps
    assert lost == pytest.approx(received.count(False))


def test_burst_ratio() -> None:
    """One of random loss is near 1, one of runs of four near 4 (G.107 §7.2)."""
    assert burst_ratio([True] * 50) is None
    assert burst_ratio([False] * 5) is None
    assert burst_ratio(([False] + [True] * 9) * 10) == pytest.approx(0.9)
    assert burst_ratio(([False] * 4 + [True] * 36) * 10) == pytest.approx(3.6)


def test_known_points_of_the_e_model() -> None:
    """Without loss and delay R is 93.2 and MOS 4.41; bands by G.107 annex B."""
    assert rating(0.0, 0.0, None) == BEST
    assert opinion(BEST) == pytest.approx(4.41, abs=0.01)
    assert opinion(80) == pytest.approx(4.02, abs=0.01)
    assert opinion(50) == pytest.approx(2.58, abs=0.01)
    assert (opinion(-3), opinion(101)) == (1.0, 4.5)
    assert delay_impairment(100) == pytest.approx(2.4)
    assert delay_impairment(277.3) == pytest.approx(0.024 * 277.3 + 11)
    assert loss_impairment(0.03, None, G711_BARE) == pytest.approx(95 * 3 / 7.3)


def test_what_is_not_known_stays_unknown() -> None:
    """Neither 0 nor 4.5."""
    assert rating(None, 50.0, None) is None
    assert rating(0.01, None, None) is None
    assert listening_rating(None, None) is None
    assert opinion(None) is None


@given(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 600), st.floats(1, 8))
def test_more_loss_delay_or_burst_is_never_better(
    loss: float, more: float, delay_ms: float, burst: float
) -> None:
    """R falls in each, and MOS with it."""
    r = rating(loss, delay_ms, None)
    worse = [
        rating(loss + more, delay_ms, None),
        rating(loss, delay_ms + 10, None),
        rating(loss, delay_ms, burst),
    ]
    for value in worse:
        assert r is not None and value is not None and value <= r + 1e-9
        before, after = opinion(r), opinion(value)
        assert before is not None and after is not None and after <= before + 1e-9
