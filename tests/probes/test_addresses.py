"""Which addresses are this machine's."""

from __future__ import annotations

from hwtest.addresses import is_own, on_the_way_to


def test_our_own() -> None:
    """All of loopback is; one that is reserved is nobody's."""
    assert is_own("127.0.0.1") and is_own("127.8.9.10")
    assert not is_own("240.0.0.1")


def test_on_the_way() -> None:
    """To ourselves by loopback; elsewhere from an address that is ours, which is not to be reached from there otherwise."""
    assert on_the_way_to("127.0.0.1") == "127.0.0.1"
    assert is_own(on_the_way_to("240.0.0.1"))
