"""Which numbers a site dials for a call-back: an allow-list by country, kind and prefix.

What is not allowed is never dialled, and what is never dialled cannot be allowed: premium and revenue-sharing numbers, personal
numbers, pagers, every short code, and the site's own numbers. Numbers are judged by the national plan and not by whether they
are in use, so that a range that was opened after our tables were made can be rung, and Ofcom's numbers for drama in a lab.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumberType

from edge.core.promise import Destination, Judgement
from edge.numbering import LONGEST_TEXT, e164, possible

HOME = "+44"
ALLOWED = ("+441", "+442", "+443", "+447")
"""Geographic numbers, 03 and mobiles, unless a site says otherwise."""
NEVER = ("+449", "+4484", "+4487", "+4470", "+4476")
"""Premium, revenue-sharing, personal numbers, pagers; allowed by no site. 118xxx are short codes."""
ISLE_OF_MAN_MOBILE = "+447624"
"""Amid the pagers' range, and no pager."""
CROWN_DEPENDENCIES = frozenset({"GG", "JE", "IM"})
_LANDLINES_OF_CROWN_DEPENDENCIES = ("+441481", "+441534", "+441624")
_KNOWN_NUMBERS = 4096
_SHORT_CODE = re.compile(r"1[0-9]{2,5}|999|911|1800[0-9]")
"""101, 105, 111, 112, 116xxx, 118xxx, 119, 123, ..., the emergency numbers, and the prefixes of relays."""
_COSTLY = frozenset(
    {
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.PERSONAL_NUMBER,
        PhoneNumberType.VOICEMAIL,
    }
)
_RUNG_ABROAD = frozenset(
    {PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}
)


class DialFormat(StrEnum):
    """How the trunk wants a number."""

    NATIONAL = "national"
    """01632960001; abroad 00 and the country."""
    E164 = "e164"
    """+441632960001."""


class SiteDestinations:
    """Implements `edge.core.promise.Destinations`.

    `allow`, `deny`: beginnings of numbers in E.164; `deny` comes before `allow`. `own`: the site's own numbers, however written,
    which would come round to us. `crown_dependencies`: whether the Channel Islands and the Isle of Man may be dialled, which
    are dear for many trunks; 07624 may be without.
    """

    def __init__(
        self,
        *,
        allow: Collection[str] = ALLOWED,
        deny: Collection[str] = (),
        own: Collection[str] = (),
        crown_dependencies: bool = False,
        dial_format: DialFormat = DialFormat.NATIONAL,
    ) -> None:
        self._allow = tuple(allow)
        self._deny = tuple(deny)
        self._own = frozenset(filter(None, map(_compared, own)))
        self._crown_dependencies = crown_dependencies
        self._dial_format = dial_format
        self._judge = lru_cache(_KNOWN_NUMBERS)(self._judged)  # parsing takes some 50 microseconds

    def judge(self, text: str) -> Destination:
        """Judge a number as presented or keyed, whatever a stranger has put there."""
        if len(text) > LONGEST_TEXT:
            return _NO_NUMBER
        return self._judge(text)

    def _judged(self, text: str) -> Destination:
        if _is_short_code(text):
            return _forbidden("a short code")
        number = possible(text)
        written = "" if number is None or number.extension else e164(number)
        if _compared(text) in self._own:
            return _forbidden("a number of our own", written)
        if number is None or not written:
            return _NO_NUMBER
        if why := self._why_not(number, written):
            return _forbidden(why, written)
        spoken = _national(number)
        return Destination(
            judgement=Judgement.ALLOWED,
            number=written,
            dialled=written if self._dial_format is DialFormat.E164 else spoken,
            spoken=spoken,
        )

    def _why_not(self, number: phonenumbers.PhoneNumber, written: str) -> str:
        """Why it is not dialled, "" when it may be."""
        if is_never_dialled(written) or phonenumbers.number_type(number) in _COSTLY:
            return "premium, revenue-sharing, personal or a pager"
        if written.startswith(self._deny):
            return "denied by this site"
        if not written.startswith(self._allow):
            return "of a kind that this site does not dial" if written.startswith(HOME) else "international"
        if not written.startswith(HOME) and phonenumbers.number_type(number) not in _RUNG_ABROAD:
            return "abroad, and no landline or mobile"
        if not self._crown_dependencies and _is_of_crown_dependency(number, written):
            return "of the Channel Islands or the Isle of Man"
        return ""


def same_number(one: str, other: str) -> bool:
    """Whether both are the same number, however written."""
    return _compared(one) == _compared(other)


def is_never_dialled(beginning: str) -> bool:
    """Whether no number that begins so (E.164) is ever dialled, whatever a site allows."""
    return beginning.startswith(NEVER) and not beginning.startswith(ISLE_OF_MAN_MOBILE)


def _is_of_crown_dependency(number: phonenumbers.PhoneNumber, written: str) -> bool:
    if written.startswith(ISLE_OF_MAN_MOBILE):
        return False
    region = phonenumbers.region_code_for_number(number)
    return written.startswith(_LANDLINES_OF_CROWN_DEPENDENCIES) or region in CROWN_DEPENDENCIES


def _is_short_code(text: str) -> bool:
    return _SHORT_CODE.fullmatch(_plain(text)) is not None


def _plain(text: str) -> str:
    """Digits without the prefixes of country and trunk: +44 101, 0044101 and 0101 are 101. "" where there is anything else."""
    digits = re.sub(r"[ ()./-]", "", text)
    for prefix in (HOME, "0044"):
        digits = digits.removeprefix(prefix)
    digits = digits.removeprefix("+").lstrip("0")
    return digits if re.fullmatch(r"[0-9]+", digits) else ""


def _compared(text: str) -> str:
    """A number as own numbers are compared: in E.164, or an inside number as its digits."""
    number = possible(text)
    return _plain(text) if number is None else e164(number)


def _national(number: phonenumbers.PhoneNumber) -> str:
    """Its digits as people of this country say and dial them."""
    digits = phonenumbers.national_significant_number(number)
    country = f"+{number.country_code}"
    return f"0{digits}" if country == HOME else f"00{number.country_code}{digits}"


def _forbidden(why: str, number: str = "") -> Destination:
    """A number that is not dialled is somebody's all the same: their calls belong together."""
    return Destination(judgement=Judgement.FORBIDDEN, number=number, why=why)


_NO_NUMBER = Destination(judgement=Judgement.NO_NUMBER, why="no whole telephone number")
