"""A number that is keyed: what single keys and silence make of it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.pbx.asterisk.keying import (
    FIRST_KEY_SECONDS,
    LONGEST_ENTRY,
    NEXT_KEY_SECONDS,
    Heard,
    NumberEntry,
)

KEYS = st.text(alphabet="0123456789*#", max_size=200)


def press(keys: str, emergency_key: str | None = "9") -> tuple[NumberEntry, Heard]:
    """Press these keys until one of them means something; what the last of them meant."""
    entry, heard = NumberEntry(emergency_key), Heard.TAKEN
    for key in keys:
        heard = entry.press(key)
        if heard is not Heard.TAKEN:
            break
    return entry, heard


@pytest.mark.parametrize(
    ("keys", "digits", "heard"),
    [
        ("01632960123#", "01632960123", Heard.WHOLE),
        ("01632960123", "01632960123", Heard.TAKEN),
        ("#", "", Heard.WHOLE),
        ("*#", "", Heard.WHOLE),
        ("0163*07700900123#", "07700900123", Heard.WHOLE),
        ("0163*", "", Heard.TAKEN),
        ("9", "", Heard.EMERGENCY),
        ("*9", "", Heard.EMERGENCY),
        ("**9", "", Heard.EMERGENCY),
        ("0163*9", "", Heard.EMERGENCY),
        ("09#", "09", Heard.WHOLE),
        ("0999#", "0999", Heard.WHOLE),
        ("0*", "", Heard.TAKEN),
        ("0" * 40 + "#", "0" * LONGEST_ENTRY, Heard.WHOLE),
    ],
)
def test_keys(keys: str, digits: str, heard: Heard) -> None:
    """# ends, * begins anew, and the emergency key is one only where no number has begun."""
    entry, last = press(keys)
    assert (entry.digits, last) == (digits, heard)


def test_without_an_emergency_key_every_digit_is_one() -> None:
    """A site may have none."""
    entry, heard = press("9#", None)
    assert (entry.digits, heard) == ("9", Heard.WHOLE)


@given(KEYS)
def test_any_keys_at_all(keys: str) -> None:
    """Digits only, never too many, and a number never begins with the emergency key."""
    entry, heard = press(keys)
    assert entry.digits == "" or entry.digits.isdigit()
    assert len(entry.digits) <= LONGEST_ENTRY
    assert not entry.digits.startswith("9")
    expected = Heard.WHOLE if "#" in keys else Heard.TAKEN
    assert heard is (Heard.EMERGENCY if re.match(r"(?:[^#]*\*)?9", keys) else expected)


@given(KEYS)
def test_no_key_stands_in_a_representation(keys: str) -> None:
    """What is printed of an entry is the same whatever was keyed."""
    assert repr(press(keys)[0]).partition("_quiet")[0] == repr(NumberEntry("9")).partition("_quiet")[0]


def test_silence_after_a_key_ends_the_number() -> None:
    """Counted from the first look after the last key."""
    entry = press("0163")[0]
    assert not entry.is_over(100.0, spoken_to=False)
    assert not entry.is_over(100.0 + NEXT_KEY_SECONDS - 0.1, spoken_to=False)
    entry.press("2")
    assert not entry.is_over(100.0 + NEXT_KEY_SECONDS, spoken_to=False)
    assert entry.is_over(100.0 + 2 * NEXT_KEY_SECONDS, spoken_to=False)


def test_silence_without_any_key_ends_it_too() -> None:
    """Later, and not while the caller is still being told what to key."""
    entry = NumberEntry("9")
    assert not entry.is_over(0.0, spoken_to=True)
    assert not entry.is_over(30.0, spoken_to=True)
    assert not entry.is_over(30.0 + FIRST_KEY_SECONDS - 0.1, spoken_to=False)
    assert entry.is_over(30.0 + FIRST_KEY_SECONDS, spoken_to=False)


def test_a_stuck_key_puts_no_end_off() -> None:
    """Once the entry is full, only silence and # are heard."""
    entry = press("0" * LONGEST_ENTRY)[0]
    assert not entry.is_over(0.0, spoken_to=False)
    for second in range(1, 5):
        entry.press("0")
        assert not entry.is_over(float(second), spoken_to=False)
    entry.press("0")
    assert entry.is_over(NEXT_KEY_SECONDS, spoken_to=False)
