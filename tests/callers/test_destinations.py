"""Which numbers are dialled for a call-back, and which never, however they are written."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.core.promise import Destination, Judgement
from edge.destinations import NEVER, DialFormat, SiteDestinations, is_never_dialled
from edge.directory import normalise

OWN = ("101", "999", "4001", "01632960500", "+44 1632 960998")
SITE = SiteDestinations(own=OWN)
HOSTILE = (
    "",
    "+",
    " ",
    "01632960001\r\nRoute: <sip:evil>",
    "01632960001\n",
    "\x00" * 12,
    "9" * 4096,
    "01632 960001" * 400,
    "letters",
    "1' OR '1'='1",
    "01632960001; DROP TABLE ledger_fact",
    "tel:+441632960001",
    "tel:01632960001;phone-context=+44",
    "sip:01632960001@example.org",
    "01632960001x123",
    "01632960001 ext. 5",
    "01632960001;ext=5",
    "01632960001#5",
    "01632960001,,5",
    "٠١٦٣٢٩٦٠٠٠١",
    "".join(chr(ord("\N{FULLWIDTH DIGIT ZERO}") + int(digit)) for digit in "01632960001"),
    "\ud800",
    "anonymous",
    "unavailable",
    "asterisk",
    "*9",
    "#",
    "960001",
    "016329600019999999999",
)


@pytest.mark.parametrize(
    "written",
    [
        "01632960001",
        "01632 960001",
        "(01632) 960001",
        "01632-960-001",
        "+441632960001",
        "+44 1632 960001",
        "+44 (0)1632 960001",
        "00441632960001",
        "0044 (0)1632 960001",
    ],
)
def test_one_number_however_written(written: str) -> None:
    assert SITE.judge(written) == Destination(
        judgement=Judgement.ALLOWED, number="+441632960001", dialled="01632960001", spoken="01632960001"
    )


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("07700900123", "+447700900123"),  # Ofcom: for drama
        ("01632960999", "+441632960999"),
        ("0151 496 0001", "+441514960001"),
        ("020 7946 0958", "+442079460958"),
        ("0169772999", "+44169772999"),  # a place with numbers of nine digits
        ("0300 123 4567", "+443001234567"),
        ("07624123456", "+447624123456"),  # Isle of Man: a mobile amid the pagers
        ("0116 123 4567", "+441161234567"),  # Leicester, not 116 123
        ("0118 496 0001", "+441184960001"),  # Reading, not directory enquiries
        ("01189 600001", "+441189600001"),
    ],
)
def test_what_is_dialled(written: str, number: str) -> None:
    judged = SITE.judge(written)
    assert (judged.judgement, judged.number) == (Judgement.ALLOWED, number)


@pytest.mark.parametrize(
    "written",
    [
        *("999", "112", "101", "105", "111", "119", "911", "123", "116123", "116 000", "118500", "118118"),
        *("+44999", "0044112", "0999", "+44 101", "18000", "18001"),
        *("09012345678", "+449012345678", "0871 234 5678", "0870 1234567", "0845 1234567", "0843 1234567"),
        *("07012345678", "+447012345678", "07612345678", "0800 123456", "0808 1570 000", "05612345678", "0551 234 5678"),
        *("+35315123456", "0035315123456", "+12025550123", "+33 1 23 45 67 89", "+882 16 123 4567", "+881612345678"),
        *("01481 960001", "01534960001", "01624960001", "07781123456", "07797123456", "07911123456", "07524 123456"),
        *("4001", "01632960500", "+441632960500", "00441632960998", "01632 960998"),
    ],
)  # fmt: skip
def test_what_is_never_dialled(written: str) -> None:
    judged = SITE.judge(written)
    assert (judged.judgement, judged.dialled, judged.spoken) == (Judgement.FORBIDDEN, "", ""), judged
    assert judged.number in ("", normalise(written)), "still under which its calls belong together"
    assert judged.why
    assert not any(mark.isdigit() for mark in judged.why), "a reason tells no number"


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_stranger_writes(text: str) -> None:
    assert SITE.judge(text).judgement is Judgement.NO_NUMBER


@given(st.one_of(st.text(), st.text("+0123456789 ()./-", max_size=34)))
@example("+44118500")
@example("00" * 16)
def test_what_is_allowed_is_of_the_plan(text: str) -> None:
    judged = SITE.judge(text)
    assert judged == SITE.judge(text)
    if not judged.is_allowed:
        assert (judged.dialled, judged.spoken) == ("", "")
        assert judged.number in ("", normalise(text))
        return
    assert judged.number.startswith(("+441", "+442", "+443", "+447"))
    assert not is_never_dialled(judged.number)
    assert judged.number == normalise(text)
    assert judged.dialled == judged.spoken == "0" + judged.number.removeprefix("+44")
    assert judged.spoken.isascii()
    assert judged.spoken.isdecimal()
    again = {SITE.judge(way) for way in (judged.number, judged.dialled, "00" + judged.number[1:])}
    assert again == {judged}


@given(st.text("0123456789", max_size=9), st.sampled_from(NEVER))
def test_no_site_allows_what_is_never_dialled(rest: str, beginning: str) -> None:
    generous = SiteDestinations(allow=("+",), crown_dependencies=True)
    judged = generous.judge(beginning + rest)
    assert judged.is_allowed == (judged.number.startswith("+447624"))


def test_a_site_may_allow_more_and_less() -> None:
    site = SiteDestinations(
        allow=("+441", "+447", "+353", "+44800"),
        deny=("+447700900",),
        crown_dependencies=True,
        dial_format=DialFormat.E164,
    )
    allowed = {"+353 1 512 3456": "0035315123456", "0800 123456": "0800123456", "01481 960001": "01481960001"}
    for written, spoken in allowed.items():
        judged = site.judge(written)
        assert (judged.spoken, judged.dialled) == (spoken, normalise(written))
    assert not site.judge("07700900123").is_allowed, "denied comes before allowed"
    assert not site.judge("0300 123 4567").is_allowed, "not in this list"
    assert not site.judge("+353 1580 123 456").is_allowed, "premium abroad"
