"""The kinds of values that the configuration is made of: their characters and bounds, and words that say what would be right.

Names and numbers reach the switch's dialplan as parts of it, so their characters are narrow on purpose.
"""

from __future__ import annotations

import re
from datetime import date
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, SecretStr

from edge.config.hours import parse_ranges


def matching(pattern: str, meaning: str) -> AfterValidator:
    """Refuses what does not match `pattern` as a whole; `meaning` says what it must be."""
    expression = re.compile(pattern)

    def validate(value: str) -> str:
        if not expression.fullmatch(value):
            raise ValueError(meaning)
        return value

    return AfterValidator(validate)


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine and no other."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _loopback_host(host: str) -> str:
    if not is_loopback(host):
        raise ValueError(
            "must be an address of this machine only, such as 127.0.0.1: control interfaces are never open"
        )
    return host


def _address(text: str) -> str:
    try:
        ip_address(text)
    except ValueError:
        raise ValueError('must be an IP address of this machine, such as "127.0.0.1" or "10.1.2.3"') from None
    return text


def _loopback_url(url: str) -> str:
    parts = urlsplit(url)
    if (
        parts.scheme != "http"
        or not parts.hostname
        or parts.path not in ("", "/")
        or parts.query
        or "@" in url
    ):
        raise ValueError('must be a plain address such as "http://127.0.0.1:8088"')
    try:
        parts.port  # noqa: B018 - raises ValueError when out of range
    except ValueError:
        raise ValueError("must have a port from 1 to 65535") from None
    _loopback_host(parts.hostname)
    return url.rstrip("/")


Name = Annotated[
    str,
    matching(r"[a-z0-9][a-z0-9_-]{0,31}", "must be 1 to 32 of a-z, 0-9, _ and -, not beginning with _ or -"),
]
Number = Annotated[
    str, matching(r"\+?[0-9]{1,20}", 'must be 1 to 20 digits (a leading + is allowed), such as "101"')
]
Beginning = Annotated[
    str,
    matching(
        r"\+[0-9]{1,15}", 'must be the beginning of numbers with the country, such as "+441" or "+447700900"'
    ),
]
AgentNumber = Annotated[str, matching(r"[0-9]{1,10}", "must be 1 to 10 digits, such as 4001")]
Code = Annotated[str, matching(r"[*#]{0,2}[0-9]{1,6}", 'must be digits after * or #, such as "*22"')]
Reason = Annotated[
    str,
    matching(
        r"[A-Za-z0-9]([A-Za-z0-9 _-]{0,38}[A-Za-z0-9])?", "must be 1 to 40 letters, digits, spaces, _ and -"
    ),
]
Prompt = Annotated[
    str,
    matching(
        r"[a-z0-9][a-z0-9_-]{0,63}",
        'must be the id of a prompt (a file of the sounds folder "edge" without its ending), such as "greeting-101"',
    ),
]
PromptOrNone = Annotated[
    str,
    matching(
        r"([a-z0-9][a-z0-9_-]{0,63})?", 'must be the id of a prompt, such as "still-waiting"; or "" for none'
    ),
]
User = Annotated[str, matching(r"[A-Za-z0-9_-]{1,32}", "must be 1 to 32 letters, digits, _ and -")]
Pin = Annotated[SecretStr, AfterValidator(lambda pin: SecretStr(_checked_pin(pin.get_secret_value())))]
Password = Annotated[
    SecretStr, AfterValidator(lambda word: SecretStr(_checked_password(word.get_secret_value())))
]
Version = Annotated[str, matching(r"[0-9]+(\.[0-9]+){0,2}", 'must be a version such as "22.10.1"')]
Address = Annotated[str, AfterValidator(_address)]
Folder = Annotated[
    str,
    matching(r"/[A-Za-z0-9_.+/@~-]*", 'must be the whole path of a folder, such as "/var/log/asterisk"'),
]
LoopbackHost = Annotated[str, AfterValidator(_loopback_host)]
LoopbackUrl = Annotated[str, AfterValidator(_loopback_url)]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Level = Annotated[int, Field(strict=True, ge=1, le=9)]


def _checked_pin(pin: str) -> str:
    if not re.fullmatch(r"[0-9]{4,8}", pin):
        raise ValueError("must be 4 to 8 digits")
    return pin


def _checked_password(password: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._~+/=@%^*-]{8,128}", password):
        raise ValueError("must be 8 to 128 letters, digits and ._~+/=@%^*- (try: openssl rand -hex 24)")
    return password


def _checked_time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError('must be the name of a time zone, such as "Europe/London"') from None
    return name


def _checked_hours(text: str) -> str:
    parse_ranges(text)
    return text


def _checked_day(text: str) -> str:
    try:
        if date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise ValueError('must be a date such as "2026-12-24"')


def _seconds(low: float, high: float) -> object:
    return Field(strict=True, ge=low, le=high, allow_inf_nan=False)


TimeZone = Annotated[str, AfterValidator(_checked_time_zone)]
Hours = Annotated[str, AfterValidator(_checked_hours)]
Day = Annotated[str, AfterValidator(_checked_day)]
Language = Annotated[str, matching(r"[a-z]{2,3}", 'must be the code of a language, such as "en" or "cy"')]
Key = Annotated[str, matching(r"[0-9*#]", "must be one key of a phone: 0 to 9, * or #")]
Digit = Annotated[str, matching(r"[0-9]", "must be one digit of a phone, which can be said: 0 to 9")]
KeyOrNone = Annotated[
    str, matching(r"[0-9*#]?", 'must be one key of a phone: 0 to 9, * or #; or "" for none')
]
AlertInfo = Annotated[
    str,
    matching(
        r"(<[A-Za-z0-9:/._-]+>(;[a-z-]+=[A-Za-z0-9._-]+)*)?",
        'must be the value of an Alert-Info header, such as "<http://edge101.invalid/999>;info=999"',
    ),
]
Moment = Annotated[float, _seconds(0.02, 5)]
Short = Annotated[float, _seconds(0.5, 60)]
Leaving = Annotated[float, _seconds(5, 300)]
Ring = Annotated[float, _seconds(3, 120)]
Hour = Annotated[float, _seconds(0, 3600)]
Climb = Annotated[float, _seconds(0, 600)]
Interval = Annotated[float, _seconds(5, 3600)]
Patience = Annotated[float, _seconds(1, 86400)]
HeadStart = Annotated[float, _seconds(0, 86400)]
ExpectedWait = Annotated[float, _seconds(0, 86400)]
Minutes = Annotated[float, _seconds(1, 1440)]
DeadMan = Annotated[float, _seconds(1, 60)]


def whole(low: int, high: int) -> object:
    """A whole number from `low` to `high`."""
    return Field(strict=True, ge=low, le=high)


def _kept_days(days: int) -> int:
    if 0 < days <= LOOKED_BACK_DAYS:
        raise ValueError(
            f"must be more than {LOOKED_BACK_DAYS}, as callers' earlier calls are looked back upon so long; or 0: for ever"
        )
    return days


LOOKED_BACK_DAYS = 30
"""As `edge.history` does, to know repeat callers."""
Days = Annotated[int, whole(0, 36_500), AfterValidator(_kept_days)]
TestDays = Annotated[int, whole(0, 36_500)]
