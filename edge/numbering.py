"""Reading telephone numbers, however people and networks write them."""

from __future__ import annotations

import re

import phonenumbers

REGION = "GB"
LONGEST_TEXT = 33
"""Nothing longer is read: a stranger may have put anything there."""
_NUMBER = re.compile(r"\+?\(?[0-9][0-9 ()./-]{2,30}")


def possible(text: str, region: str = REGION) -> phonenumbers.PhoneNumber | None:
    """The number that `text` is, or None for what could be nobody's number.

    Only its length and shape are judged: a range of numbers that was opened after our tables were made is somebody's, too.
    """
    if len(text) > LONGEST_TEXT or not _NUMBER.fullmatch(text):
        return None
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    reason = phonenumbers.is_possible_number_with_reason(parsed)
    return parsed if reason == phonenumbers.ValidationResult.IS_POSSIBLE else None


def e164(number: phonenumbers.PhoneNumber) -> str:
    """The one way of writing it under which numbers are compared: "+441632960001"."""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def comparable(text: str) -> str:
    """What a number is compared by, however it is written: E.164, or its digits where it is an extension. "" for no number."""
    found = possible(text)
    if found is not None:
        return e164(found)
    return text if text.isascii() and text.isdigit() else ""
