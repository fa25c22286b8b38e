"""Ports of a lab."""

import socket
from itertools import pairwise
from pathlib import Path

import pytest

from hwtest.lab.packages import LabError
from hwtest.lab.ports import BASES, HOST, SPAN, Ports, claim, kept


def hold(port: int) -> socket.socket:
    holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    holder.bind((HOST, port))
    return holder


def free_base() -> int:
    return next(base for base in range(40000, 60000, SPAN) if Ports(base).busy() is None)


def test_offsets_are_those_of_the_contract() -> None:
    """Tools and people rely on the offsets from the base."""
    ports = Ports(26000)
    assert (ports.sip, ports.callee, ports.ami, ports.http) == (26060, 26070, 26038, 26088)
    assert Ports.of_sip(26060) == ports


def test_labs_of_the_default_bases_never_share_a_port() -> None:
    """The spans of the bases that are tried do not touch each other, nor what Linux gives to clients."""
    spans = sorted([*((base, base + SPAN) for base in BASES), (32768, 61000)])
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_a_busy_base_that_was_asked_for_is_refused_by_the_port_s_name(tmp_path: Path) -> None:
    """The message names the port, so that one can find who holds it."""
    base = free_base()
    with (
        hold(base + 60),
        pytest.raises(LabError, match=rf"port {base + 60} \(SIP\) is in use"),
        claim(base, tmp_path),
    ):
        pass


def test_two_starts_at_once_do_not_claim_the_same_base(tmp_path: Path) -> None:
    """A base is kept from others between its choice and its binding."""
    with claim(None, tmp_path) as first, claim(None, tmp_path) as second:
        assert first.base != second.base


def test_a_base_being_claimed_is_refused_when_asked_for(tmp_path: Path) -> None:
    """Two starts that ask for the same base: the second is told."""
    base = free_base()
    with (
        claim(base, tmp_path),
        pytest.raises(LabError, match="kept for another lab"),
        claim(base, tmp_path),
    ):
        pass


def test_the_ports_of_a_lab_that_is_up_are_kept_while_nothing_is_bound_to_them(tmp_path: Path) -> None:
    """Between the death of its Asterisk and the start of the next no other lab takes them; afterwards one may."""
    base = free_base()
    with claim(base, tmp_path) as ports:
        pass
    with kept(ports, tmp_path), pytest.raises(LabError, match="kept for another lab"), claim(base, tmp_path):
        pass
    with claim(base, tmp_path) as again:
        assert again == ports


@pytest.mark.parametrize("base", [0, 80, 64000, 70000])
def test_a_base_out_of_range_is_refused(base: int) -> None:
    """All ports of a lab must exist and need no privilege."""
    with pytest.raises(LabError, match=f"--port-base {base}"):
        Ports(base)
