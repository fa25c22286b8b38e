"""Addresses of this machine: whether one is ours, and from which of them another is reached. Nothing is sent."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"


def is_own(host: str) -> bool:
    """Whether an IPv4 address is of the machine that we run on: only one's own can be bound."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trying:
        try:
            trying.bind((host, 0))
        except OSError:
            return False
    return True


def on_the_way_to(host: str) -> str:
    """The address of ours from which the kernel sends there; loopback's where it knows no way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect((host, 9))  # any port: a datagram socket only asks for the route
        except OSError:
            return LOOPBACK
        own: str = asking.getsockname()[0]
        return own
