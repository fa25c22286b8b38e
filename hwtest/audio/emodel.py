"""The E-model of ITU-T G.107 for a narrow-band call over packets: the rating R, and MOS from it. Pure.

Everything that the model takes and we do not measure (noise, loudness, echo) has its default, so that R begins at 93.2. What
is not known makes the result unknown: never 0, and never the best that there is.
"""

from __future__ import annotations

from dataclasses import dataclass

BEST = 93.2
"""R0 - Is with all defaults of G.107 table 2."""


@dataclass(frozen=True, slots=True)
class Codec:
    """What a codec costs (G.113 appendix I): `impairment` Ie, and how well it stands packet loss, `robustness` Bpl."""

    impairment: float
    robustness: float


G711_CONCEALED = Codec(0.0, 25.1)
"""G.711 where lost packets are concealed (G.711 appendix I or as good)."""
G711_BARE = Codec(0.0, 4.3)
"""G.711 where they are silence."""


def rating(
    loss_share: float | None, delay_ms: float | None, burst_ratio: float | None, codec: Codec = G711_CONCEALED
) -> float | None:
    """R of a conversation; None when loss or delay is unknown. `burst_ratio` None: there was no loss, or it was random.

    `loss_share`: of packets that never were heard, lost or too late. `delay_ms`: mouth to ear, one way.
    """
    if loss_share is None or delay_ms is None:
        return None
    return BEST - delay_impairment(delay_ms) - loss_impairment(loss_share, burst_ratio, codec)


def listening_rating(
    loss_share: float | None, burst_ratio: float | None, codec: Codec = G711_CONCEALED
) -> float | None:
    """R of listening alone, without delay; None when the loss is unknown."""
    return None if loss_share is None else BEST - loss_impairment(loss_share, burst_ratio, codec)


def delay_impairment(delay_ms: float) -> float:
    """Id in its common approximation: gentle up to 177.3 ms, steep beyond."""
    return 0.024 * delay_ms + 0.11 * max(0.0, delay_ms - 177.3)


def loss_impairment(loss_share: float, burst_ratio: float | None, codec: Codec) -> float:
    """Ie,eff (G.107 equation 7-29)."""
    loss_percent = 100 * loss_share
    burst = 1.0 if burst_ratio is None else max(1.0, burst_ratio)
    return codec.impairment + (95 - codec.impairment) * loss_percent / (
        loss_percent / burst + codec.robustness
    )


def opinion(r: float | None) -> float | None:
    """MOS of a rating (G.107 annex B); None of an unknown one."""
    if r is None:
        return None
    if r <= 0:
        return 1.0
    if r >= 100:
        return 4.5
    return max(1.0, 1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r))
