"""Names that tie the switch's objects to ours, and what a stranger may write into them.

Every id is made from the call or the offer, so that doing a thing twice does it once, and so that after a crash the
switch's own list tells what is whose.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from edge.core.model import Phone, PhoneKind
from edge.pbx.asterisk.sightings import Caller

LONGEST_NAME = 80
LONGEST_ATTEMPT = 6
"""Digits of an attempt's number, and more than any has."""
OURS = ("Stasis", "StasisBroadcast")
"""The dialplan's applications in which a caller is ours; in the second, once we have claimed them."""
ENTRIES = ("arrived", "returned", "sent-back", "reached")
"""How a caller comes into our application: the first argument that the generated dialplan gives."""
RENEWALS_PER_DEAD_MAN = 3
"""So often is a waiting caller's dead-man put off within its length."""
_LEG_PREFIX = "edge-"
_PERSON_PREFIX = "edge-back-"
"""No call's id begins with "back-": such a leg is never an agent's."""
_LEG_SUFFIX = "-leg"
"""Closes the id: Bridge() takes unique ids by prefix, and joined leg ...10 for ...1 when that was gone (docs/quirks)."""
_TRANSFERRED, _DOT = "to-", "~"
"""Beginning of such a name, and what stands in it for the dots of the switch's own ids."""
_PLAYBACK_PREFIX = "edge-said."
_ASKING_PREFIX = "edge-asked."
_WITHHELD = frozenset(
    {"", "anonymous", "unavailable", "unknown", "<unknown>", "restricted", "withheld", "private"}
)


def leg_of_offer(offer_id: str) -> str:
    """The channel id of an offer's leg."""
    own = offer_id.rpartition(".")[2]
    if own.startswith(_TRANSFERRED):
        return own.removeprefix(_TRANSFERRED).replace(_DOT, ".")
    return f"{_LEG_PREFIX}{offer_id}{_LEG_SUFFIX}"


def offer_of_transfer(call_id: str, leg_id: str) -> str:
    """The name under which a leg that a transfer gave a caller to is followed, as if it were an offer's."""
    return f"{call_id}.{_TRANSFERRED}{leg_id.replace('.', _DOT)}"


def offer_of_leg(leg_id: str) -> str | None:
    """The offer whose leg this is, or None: not ours."""
    if not leg_id.startswith(_LEG_PREFIX) or not leg_id.endswith(_LEG_SUFFIX):
        return None
    if leg_id.startswith(_PERSON_PREFIX):
        return None
    return leg_id[len(_LEG_PREFIX) : -len(_LEG_SUFFIX)]


def is_own_leg(leg_id: str) -> bool:
    """Whether we dialled it, for an offer or to call somebody back: no caller came by it."""
    return leg_id.startswith(_LEG_PREFIX) and leg_id.endswith(_LEG_SUFFIX)


def asking(offer_id: str, nonce: str) -> str:
    """The id of one playing to an agent who is asked for a key. No announcement to a caller is named so."""
    return f"{_ASKING_PREFIX}{offer_id}.{nonce}"


def call_of_offer(offer_id: str) -> str:
    """The call that an offer is for: an offer's id is its call's id, a dot and a number."""
    return offer_id.rpartition(".")[0]


def leg_of_attempt(call_id: str, attempt: int) -> str:
    """The channel id of the person's leg in this attempt to call them back."""
    return f"{_PERSON_PREFIX}{call_id}.{attempt}{_LEG_SUFFIX}"


def attempt_of_leg(leg_id: str) -> tuple[str, int] | None:
    """Call and attempt whose person's leg this is, or None: no such leg."""
    if not leg_id.startswith(_PERSON_PREFIX) or not leg_id.endswith(_LEG_SUFFIX):
        return None
    call_id, _, attempt = leg_id[len(_PERSON_PREFIX) : -len(_LEG_SUFFIX)].rpartition(".")
    if not (call_id and attempt.isascii() and attempt.isdigit() and len(attempt) <= LONGEST_ATTEMPT):
        return None
    return call_id, int(attempt)


def playback(call_id: str, prompt: str, nonce: str) -> str:
    """The id of one playing of an announcement. `nonce`: tells two of the same prompt apart."""
    return f"{_PLAYBACK_PREFIX}{call_id}.{nonce}.{prompt}"


def announcement_of_playback(playback_id: str) -> tuple[str, str] | None:
    """Call and prompt of a playback of ours, or None: so its end can be told even by a daemon that did not begin it."""
    if not playback_id.startswith(_PLAYBACK_PREFIX):
        return None
    match playback_id.removeprefix(_PLAYBACK_PREFIX).rsplit(".", 2):
        case [call_id, _, prompt] if call_id and prompt:
            return call_id, prompt
    return None


def interface(phone: Phone) -> str:
    """What Asterisk dials to reach a phone."""
    if phone.kind is PhoneKind.TRUNK:
        return f"PJSIP/{phone.number}@{phone.trunk}"
    return f"PJSIP/{phone.name}"


def phones_by_interface(phones: Iterable[Phone]) -> dict[str, str]:
    """Phone names by the interface that Asterisk knows them by."""
    return {interface(phone): phone.name for phone in phones}


def interface_of_leg(name: str) -> str:
    """What was dialled to make the channel of this name: PJSIP/phone1-0000002a is PJSIP/phone1."""
    return name.rpartition("-")[0]


def dialled(text: str) -> str:
    """A number or code as it was dialled; "" for a step of the dialplan."""
    return text if text and all(mark in "+*#0123456789" for mark in text) else ""


def clean(text: str) -> str:
    """A stranger's text without control and format characters and line separators, at most 80 characters long."""
    kept = "".join(
        mark for mark in text if unicodedata.category(mark)[0] != "C" and mark not in "\u2028\u2029"
    )
    return kept.strip()[:LONGEST_NAME]


def caller(number: str, name: str, presentation: str = "") -> Caller:
    """Who calls. `presentation`: Asterisk's CALLERID(num-pres); `prohib...` means the network asked us not to show it.

    With trust_id_inbound a withheld number still arrives (P-Asserted-Identity with Privacy: id, RFC 3325 clause 7): it
    is dropped here, and the name with it.
    """
    number = clean(number)
    if number.lower() in _WITHHELD or presentation.startswith(("prohib", "unavailable")):
        return Caller(withheld=True)
    return Caller(number=number, name=clean(name) or None)


def printable(text: str) -> str:
    """Text that is safe in a SIP header and in Asterisk's own syntaxes: letters, digits, space and a few marks."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return "".join(mark for mark in ascii_text if mark.isalnum() or mark in " .:+_-").strip()[:LONGEST_NAME]


def is_dialable(number: str) -> bool:
    """Whether this is a number and nothing else, so that it can be part of what Asterisk dials."""
    return number.isascii() and number.removeprefix("+").isdigit() and len(number) <= LONGEST_NAME


def digits(number: str | None) -> str:
    """A number fit to be shown on a phone, "withheld" where there is none."""
    return "".join(mark for mark in number or "" if mark in "+0123456789")[:LONGEST_NAME] or "withheld"
