"""Companding, levels and tone detection."""

import math

import pytest

from hwtest.useragent import g711
from hwtest.useragent.g711 import A_LAW, MU_LAW, Law

LAWS = pytest.mark.parametrize("law", [MU_LAW, A_LAW], ids=["mu", "a"])


def test_tables() -> None:
    """The largest and smallest values are those of G.711 on a 16-bit scale."""
    assert (max(MU_LAW.values), min(MU_LAW.values), MU_LAW.values[0xFF]) == (32124, -32124, 0)
    assert (max(A_LAW.values), min(A_LAW.values), A_LAW.values[0xD5]) == (32256, -32256, 8)


@LAWS
def test_compress_inverts_expand(law: Law) -> None:
    """Every value is compressed to a code of that value."""
    codes = bytes(range(256))
    assert law.expand(law.compress(law.expand(codes))) == law.expand(codes)


@LAWS
def test_tone_level(law: Law) -> None:
    """A tone has the level asked for, and its frequency holds all of it."""
    codes = g711.tone(law, 440, -10.0)
    assert g711.level_dbm0(law, codes) == pytest.approx(-10.0, abs=0.1)
    assert g711.tone_level_dbm0(law, codes, 440) == pytest.approx(-10.0, abs=0.1)
    assert g711.tone_level_dbm0(law, codes, 1000) < -45


def test_silence() -> None:
    """Digital silence, and nothing at all, have no level."""
    assert g711.level_dbm0(MU_LAW, bytes([MU_LAW.silence]) * 160) == -math.inf
    assert g711.level_dbm0(MU_LAW, b"") == -math.inf
