"""The capturing process: `python -m hwtest.capture PORT`, driven by `hwtest.capture.Capture`.

While a measurement runs it only keeps packets; they are parsed when they are asked for, after it, so that the
capture costs the measured machine as little as it can.
"""

from __future__ import annotations

import select
import sys

import msgspec

from hwtest.capture.process import Failure, Taken
from hwtest.capture.record import parse, read_datagram
from hwtest.capture.sniffer import Packet, Sniffer


def take(packets: list[Packet], dropped: int) -> Taken:
    """The packets as records."""
    records = []
    malformed = 0
    for packet in packets:
        datagram = read_datagram(packet.data)
        record = datagram and parse(packet.stamp_ns, *datagram)
        if record:
            records.append(record)
        elif datagram is None or datagram[2].strip(b"\r\n\0"):  # not a keep-alive (RFC 5626 §3.5.1)
            malformed += 1
    return Taken(records=records, dropped=dropped, malformed=malformed)


def serve(sniffer: Sniffer) -> None:
    """Answer each line of standard input by one line with what was captured since the last one, until its end."""
    packets = list[Packet]()
    while True:
        readable, _, _ = select.select([sniffer, sys.stdin], [], [])
        packets += sniffer.read()
        if sys.stdin in readable:
            if not sys.stdin.readline():
                return
            packets += sniffer.read()
            _say(take(packets, sniffer.count_dropped()))
            packets.clear()


def _say(answer: Taken | Failure) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Start, say that it stands or why not, and serve."""
    try:
        sniffer = Sniffer(int(sys.argv[1]))
    except OSError as error:
        _say(Failure(error=f"{error.strerror}: capturing needs CAP_NET_RAW (root)"))
        return
    _say(Taken(records=[], dropped=0, malformed=0))
    serve(sniffer)


if __name__ == "__main__":
    main()
