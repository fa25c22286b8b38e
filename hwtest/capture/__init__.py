"""What was on the wire: SIP on loopback, stamped by the kernel, read in a process of its own."""

from hwtest.capture.process import Capture, CaptureUnavailableError, Taken
from hwtest.capture.record import Record, read_datagram, retransmissions

__all__ = ["Capture", "CaptureUnavailableError", "Taken", "Record", "read_datagram", "retransmissions"]
