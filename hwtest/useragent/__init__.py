"""A small real SIP user agent (RFC 3261) on loopback: callers and agents' phones for shifts and measurements."""

from hwtest.useragent.agent import AgentPhone, Behaviour, answering, ignoring, rejecting, ringing_only
from hwtest.useragent.call import Call, CallEnded, CallState, IncomingCall, OutgoingCall
from hwtest.useragent.media import Media
from hwtest.useragent.phone import UserAgent
from hwtest.useragent.transaction import Timers, TraceEntry
from hwtest.useragent.transport import Stamp
from hwtest.useragent.wire import SipError

__all__ = [
    "UserAgent",
    "Call",
    "OutgoingCall",
    "IncomingCall",
    "CallState",
    "CallEnded",
    "Media",
    "Timers",
    "TraceEntry",
    "Stamp",
    "SipError",
    "AgentPhone",
    "Behaviour",
    "answering",
    "rejecting",
    "ringing_only",
    "ignoring",
]
