"""Mouth to ear from recordings of which every delay is known because we made them."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from hwtest.audio.rtp import Arrivals
from hwtest.audio.signal import silence
from hwtest.audio.stream import Packet
from hwtest.softphone.latency import End, clock_ns, delays, own_offset, path_ms, turns
from hwtest.softphone.messages import Anchors
from hwtest.softphone.phone import SoftphoneError
from hwtest.useragent.g711 import A_LAW
from tests.audio.line import companded, delayed

NS_PER_SAMPLE = 125_000


def anchors(zero_ns: int, dice: random.Random, frames: int = 400) -> Anchors:
    """As a process sees its clock: each frame up to 1.5 ms late, some much later."""
    samples = [160 * (index + 1) for index in range(frames)]
    late = [round(dice.choice((0.2, 0.7, 1.5, 12.0)) * 1e6 * dice.random()) for _ in samples]
    instants = [zero_ns + sample * NS_PER_SAMPLE + extra for sample, extra in zip(samples, late, strict=True)]
    return Anchors(samples=samples, monotonic_ns=instants)


def pair(forth_ms: float, back_ms: float, apart_ms: float, seed: int) -> tuple[End, End]:
    """Two ends of a line; the second's clock began `apart_ms` later, and both recorded from somewhere of their own."""
    dice = random.Random(seed)
    ends = []
    spoken = [turns(4, first=first, upwards=first, dice=random.Random(seed)) for first in (True, False)]
    for index, (first, other_ms, sign) in enumerate(((True, back_ms, 1), (False, forth_ms, -1))):
        own, starts = spoken[index]
        other = spoken[1 - index][0]
        lead = dice.randrange(100, 900)  # recorded before it began to play
        later = lead + (other_ms + sign * apart_ms) * 8
        heard = companded(delayed(other, later))
        whole = np.concatenate([silence(lead / 8000), own, silence(2.0)])
        size = max(whole.size, heard.size)
        whole = np.pad(whole, (0, size - whole.size)) + np.pad(heard, (0, size - heard.size))
        zero = 5_000_000_000_000 + (0 if first else round(apart_ms * 1e6))
        ends.append(End(spoken=own, starts=starts, upwards=first, heard=whole, anchors=anchors(zero, dice)))
    return ends[0], ends[1]


@pytest.mark.parametrize("seed", range(6))
def test_both_ways_are_found_whatever_the_clocks_phase(seed: int) -> None:
    """Within 0.3 ms, with ends that began at different instants and positions that were seen late."""
    dice = random.Random(seed)
    forth_ms, back_ms, apart_ms = dice.uniform(20, 400), dice.uniform(20, 400), dice.uniform(0, 40)
    caller, callee = pair(forth_ms, back_ms, apart_ms, seed)
    forth, back = delays(caller, callee), delays(callee, caller)
    assert (len(forth), len(back)) == (4, 4)
    assert [mouth.milliseconds for mouth in forth] == pytest.approx([forth_ms] * 4, abs=0.3)
    assert [mouth.milliseconds for mouth in back] == pytest.approx([back_ms] * 4, abs=0.3)


def test_who_hears_nothing_has_no_delay() -> None:
    """None found, none invented."""
    caller, callee = pair(50, 50, 5, 1)
    deaf = End(
        spoken=callee.spoken,
        starts=callee.starts,
        upwards=False,
        heard=np.concatenate([silence(0.05), callee.spoken, silence(1.0)]),
        anchors=callee.anchors,
    )
    assert delays(caller, deaf) == []


def test_a_recording_without_its_own_voice_is_refused() -> None:
    """It could not be laid upon any time."""
    caller, _ = pair(50, 50, 5, 1)
    mute = End(
        spoken=caller.spoken, starts=caller.starts, upwards=True, heard=silence(10), anchors=caller.anchors
    )
    with pytest.raises(SoftphoneError, match="own voice"):
        own_offset(mute)


def test_a_clock_that_did_not_run_is_refused() -> None:
    """Instead of a delay from nothing."""
    with pytest.raises(SoftphoneError, match="did not run"):
        clock_ns(Anchors(samples=[160], monotonic_ns=[5]))


def test_turns_begin_at_places_of_their_own() -> None:
    """Both ends know each other's, none overlaps, and the 20 ms are used all over."""
    (first, ours), (second, theirs) = (
        turns(20, first=first, upwards=first, dice=random.Random(7)) for first in (True, False)
    )
    assert first.size == second.size
    assert len({start % 160 for start in ours}) > 12
    together = sorted([*ours, *theirs])
    assert min(later - before for before, later in itertools.pairwise(together)) >= 4800


@pytest.mark.parametrize("loss_share", [0.0, 0.05])
def test_the_path_packet_by_packet(loss_share: float) -> None:
    """Every packet's own delay, within 0.3 ms, from chirps in packets that were captured from somewhere on, some of them lost."""
    dice = random.Random(11)
    spoken, starts = turns(4, first=True, upwards=True, dice=dice)
    zero_ns, path = 7_000_000_000_000, list[float]()
    arrived = Arrivals(1)
    early = 37  # frames that were captured before anything was played
    for frame in range(-early, spoken.size // 160):
        if dice.random() < loss_share and frame != -early:
            continue
        delay_ms = dice.uniform(3, 90)
        samples = spoken[frame * 160 : frame * 160 + 160] if frame >= 0 else silence(0.02)
        at_ns = zero_ns + (frame + 1) * 160 * NS_PER_SAMPLE + round(delay_ms * 1e6)
        number = frame + early
        arrived.sources[5].append(Packet(number, number * 160, at_ns))
        arrived.speech[5].append((8, A_LAW.compress(list(samples))))
        if frame >= 0:
            path.append(delay_ms)
    speaker = End(spoken=spoken, starts=starts, upwards=True, heard=spoken, anchors=anchors(zero_ns, dice))
    found = path_ms(speaker, arrived)
    assert found == pytest.approx(path, abs=0.3)


def test_no_path_without_chirps() -> None:
    """Packets of something else have none."""
    caller, _ = pair(50, 50, 5, 1)
    arrived = Arrivals(1)
    for number in range(800):
        arrived.sources[5].append(Packet(number, number * 160, number))
        arrived.speech[5].append((8, b"\xd5" * 160))
    assert path_ms(caller, arrived) == path_ms(caller, Arrivals(1)) == []
