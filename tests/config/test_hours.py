"""Opening hours as instants: the wall clock of the site's zone, bank holidays, days by name, and both nights of the clocks."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config.hours import Nation, Ranges, Timetable, bank_holidays, parse_ranges
from edge.core.model import OpeningHours

LONDON = ZoneInfo("Europe/London")
EVERY_DAY = "07:00-22:00"
FORWARD, BACK = date(2026, 3, 29), date(2026, 10, 25)


def utc_us(at: datetime) -> int:
    return round(at.timestamp()) * 1_000_000


def local(text: str, fold: int = 0) -> datetime:
    """A time in London, as the clock on the wall shows it; fold 1 is the second of two."""
    return datetime.fromisoformat(text).replace(tzinfo=LONDON, fold=fold)


def table(
    week: str | dict[int, str] = EVERY_DAY,
    *,
    nation: Nation | None = None,
    on_bank_holidays: str = "closed",
    days: dict[str, str] | None = None,
) -> Timetable:
    """A timetable; a dictionary names weekdays from 0, the others are closed."""
    if isinstance(week, str):
        ranges: tuple[Ranges, ...] = (parse_ranges(week),) * 7
    else:
        ranges = tuple(parse_ranges(week.get(day, "closed")) for day in range(7))
    return Timetable(
        week=ranges,
        nation=nation,
        on_bank_holidays=parse_ranges(on_bank_holidays),
        days={date.fromisoformat(day): parse_ranges(text) for day, text in (days or {}).items()},
    )


def hours(timetable: Timetable, year: int = 2026) -> OpeningHours:
    return timetable.opening_hours("test", LONDON, year)


def changes_within(opening: OpeningHours, first: str, last: str) -> list[tuple[str, bool]]:
    """What changes between two times of UTC, by UTC."""
    start, end = (utc_us(datetime.fromisoformat(text).replace(tzinfo=UTC)) for text in (first, last))
    return [
        (datetime.fromtimestamp(at / 1e6, UTC).strftime("%d %H:%M"), is_open)
        for at, is_open in opening.changes
        if start <= at < end
    ]


RANGES = [
    ("07:00-22:00", ((420, 1320),)),
    ("13:00-22:00, 07:00-12:00", ((420, 720), (780, 1320))),
    ("07:00-12:00,12:00-13:00", ((420, 720), (720, 780))),
    ("closed", ()),
    ("00:00-24:00", ((0, 1440),)),
    ("22:00-06:00", ((1320, 1800),)),
    ("22:00-00:00", ((1320, 1440),)),
]


@pytest.mark.parametrize(("text", "ranges"), RANGES)
def test_ranges_are_minutes(text: str, ranges: Ranges) -> None:
    """In order, past midnight beyond 1440."""
    assert parse_ranges(text) == ranges


@pytest.mark.parametrize(
    "text",
    [
        "", "7:00-22:00", "07:00", "07:00-22:60", "25:00-26:00", "24:00-06:00", "07:00-24:01", "07:00-07:00",
        "open", "07:00-22:00,", "closed, 07:00-09:00", "07:00-12:00, 11:59-13:00", "07:00 - 22:00",
    ],
)  # fmt: skip
def test_what_is_no_range_is_refused(text: str) -> None:
    """With words that say what it must be."""
    with pytest.raises(ValueError, match="must"):
        parse_ranges(text)


def test_an_ordinary_week() -> None:
    """Monday to Friday, in winter."""
    opening = hours(table(dict.fromkeys(range(5), "09:00-17:00")))
    assert changes_within(opening, "2026-01-08", "2026-01-13") == [
        ("08 09:00", True),
        ("08 17:00", False),
        ("09 09:00", True),
        ("09 17:00", False),
        ("12 09:00", True),
        ("12 17:00", False),
    ]


def test_summer_is_an_hour_earlier_by_utc() -> None:
    """The hours are those of the wall."""
    assert changes_within(hours(table()), "2026-07-01", "2026-07-02") == [
        ("01 06:00", True),
        ("01 21:00", False),
    ]


def test_the_last_moment_is_closed_and_the_first_is_open() -> None:
    """10.000 is not under 10: the range ends where it says."""
    opening = hours(table())
    assert opening.is_open(utc_us(local("2026-01-08T07:00:00")))
    assert not opening.is_open(utc_us(local("2026-01-08T07:00:00")) - 1)
    assert opening.is_open(utc_us(local("2026-01-08T22:00:00")) - 1)
    assert not opening.is_open(utc_us(local("2026-01-08T22:00:00")))


def test_always_open_has_no_changes() -> None:
    """All day, every day, through the nights of the clocks."""
    assert hours(table("00:00-24:00")).changes == ()


def test_past_midnight() -> None:
    """Friday's range reaches into Saturday, which is closed, and nothing happens at midnight."""
    assert changes_within(hours(table({4: "20:00-02:00"})), "2026-01-09", "2026-01-12") == [
        ("09 20:00", True),
        ("10 02:00", False),
    ]


def test_closing_on_a_day_leaves_alone_what_began_the_evening_before() -> None:
    """A range belongs to the day on which it begins."""
    opening = hours(table("20:00-02:00", days={"2026-01-10": "closed"}))
    assert changes_within(opening, "2026-01-09T12:00", "2026-01-12T12:00") == [
        ("09 20:00", True),
        ("10 02:00", False),
        ("11 20:00", True),
        ("12 02:00", False),
    ]


CLOCK_NIGHTS = [
    # range, first and last by UTC, changes by UTC
    # 29 March 2026: at 01:00 GMT the clock shows 02:00.
    ("00:30-06:00", "2026-03-29", "2026-03-29T12:00", [("29 00:30", True), ("29 05:00", False)]),
    ("01:30-06:00", "2026-03-29", "2026-03-29T12:00", [("29 01:00", True), ("29 05:00", False)]),
    ("02:00-06:00", "2026-03-29", "2026-03-29T12:00", [("29 01:00", True), ("29 05:00", False)]),
    ("00:30-01:30", "2026-03-29", "2026-03-29T12:00", [("29 00:30", True), ("29 01:00", False)]),
    ("01:15-01:45", "2026-03-29", "2026-03-29T12:00", []),
    ("22:00-01:30", "2026-03-28T12:00", "2026-03-29T12:00", [("28 22:00", True), ("29 01:00", False)]),
    ("22:00-03:00", "2026-03-28T12:00", "2026-03-29T12:00", [("28 22:00", True), ("29 02:00", False)]),
    # 25 October 2026: at 01:00 GMT (02:00 BST) the clock shows 01:00 again.
    (
        "01:30-06:00",
        "2026-10-25",
        "2026-10-25T12:00",
        [("25 00:30", True), ("25 01:00", False), ("25 01:30", True), ("25 06:00", False)],
    ),
    ("01:00-06:00", "2026-10-25", "2026-10-25T12:00", [("25 00:00", True), ("25 06:00", False)]),
    ("02:00-06:00", "2026-10-25", "2026-10-25T12:00", [("25 02:00", True), ("25 06:00", False)]),
    (
        "22:00-01:30",
        "2026-10-24T12:00",
        "2026-10-25T12:00",
        [("24 21:00", True), ("25 00:30", False), ("25 01:00", True), ("25 01:30", False)],
    ),
    ("22:00-03:00", "2026-10-24T12:00", "2026-10-25T12:00", [("24 21:00", True), ("25 03:00", False)]),
]


@pytest.mark.parametrize(("text", "first", "last", "expected"), CLOCK_NIGHTS)
def test_nights_on_which_the_clock_changes(
    text: str, first: str, last: str, expected: list[tuple[str, bool]]
) -> None:
    """What the clock never shows happens when it is first past it; what it shows twice happens twice."""
    assert changes_within(hours(table(text)), first, last) == expected


CHRISTMAS = [
    # https://www.gov.uk/bank-holidays: Boxing Day 2026 is a Saturday, both days of 2027 are at the weekend, 2028 is plain
    (2026, ["25", "26", "28"]),
    (2027, ["25", "26", "27", "28"]),
    (2028, ["25", "26"]),
]


@pytest.mark.parametrize(("year", "closed"), CHRISTMAS)
def test_christmas_and_its_substitute_days(year: int, closed: list[str]) -> None:
    """Closed on the days themselves and on those that stand in for them, open between and after."""
    opening = hours(table(nation="england"))
    days = [f"{day:02}" for day in range(22, 32)]
    assert [d for d in days if not opening.is_open(utc_us(local(f"{year}-12-{d}T12:00:00")))] == closed


def test_new_year_of_2028_has_a_substitute_day() -> None:
    """1 January 2028 is a Saturday: Monday the 3rd stands in."""
    assert {date(2028, 1, 1), date(2028, 1, 3)} <= bank_holidays("england", range(2028, 2029))


NATIONS: list[tuple[date, set[Nation]]] = [
    (date(2026, 4, 6), {"england", "wales", "northern-ireland"}),  # Easter Monday
    (date(2026, 1, 2), {"scotland"}),
    (date(2026, 3, 17), {"northern-ireland"}),  # Saint Patrick
    (date(2026, 8, 3), {"scotland"}),  # the summer bank holiday
    (date(2026, 8, 31), {"england", "wales", "northern-ireland"}),
    (date(2026, 12, 28), {"england", "wales", "scotland", "northern-ireland"}),
]


@pytest.mark.parametrize(("day", "whose"), NATIONS)
def test_bank_holidays_differ_by_nation(day: date, whose: set[Nation]) -> None:
    """Each has its own."""
    every: tuple[Nation, ...] = ("england", "wales", "scotland", "northern-ireland")
    assert {nation for nation in every if day in bank_holidays(nation, range(2026, 2027))} == whose


def test_hours_of_bank_holidays() -> None:
    """Shorter hours in place of none."""
    opening = hours(table(nation="england", on_bank_holidays="10:00-16:00"))
    assert changes_within(opening, "2026-12-25", "2026-12-26") == [("25 10:00", True), ("25 16:00", False)]


def test_a_named_day_comes_before_a_bank_holiday() -> None:
    """Christmas Day, opened on purpose."""
    opening = hours(table(nation="england", days={"2026-12-25": "12:00-13:00"}))
    assert changes_within(opening, "2026-12-25", "2026-12-26") == [("25 12:00", True), ("25 13:00", False)]


def test_from_last_year_to_the_fifth_ahead_and_then_open() -> None:
    """A table that has run out turns nobody away, whatever the week says."""
    opening = hours(table({0: "09:00-10:00"}))
    night = "T03:00:00"
    assert opening.is_open(utc_us(local(f"2024-12-31{night}")))
    assert not opening.is_open(utc_us(local(f"2025-01-01{night}")))
    assert not opening.is_open(utc_us(local(f"2031-12-31{night}")))
    assert opening.is_open(utc_us(local(f"2032-01-01{night}")))


HOLIDAYS = bank_holidays("england", range(2024, 2033))


def naively_open(timetable: Timetable, at: datetime) -> bool:
    """By looking at the clock on the wall, minute by minute, with nothing worked out beforehand."""
    wall = at.astimezone(LONDON).replace(tzinfo=None)
    for began in (wall.date(), wall.date() - timedelta(days=1)):
        ranges = timetable.week[began.weekday()]
        if timetable.nation and began in HOLIDAYS:
            ranges = timetable.on_bank_holidays
        ranges = timetable.days.get(began, ranges)
        midnight = datetime(began.year, began.month, began.day)  # noqa: DTZ001 - the wall knows no zone
        if any(
            midnight + timedelta(minutes=start) <= wall < midnight + timedelta(minutes=end)
            for start, end in ranges
        ):
            return True
    return False


minutes = st.integers(0, 1439)
ranges_of_a_day = st.lists(st.tuples(minutes, minutes).filter(lambda both: both[0] != both[1]), max_size=2)
nights = st.sampled_from([datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])
instants = st.one_of(
    st.builds(
        lambda night, seconds: night + timedelta(seconds=seconds), nights, st.integers(-7200, 4 * 3600)
    ),
    st.integers(utc_us(datetime(2025, 1, 1, tzinfo=UTC)), utc_us(datetime(2031, 12, 31, tzinfo=UTC))).map(
        lambda us: datetime.fromtimestamp(us // 1_000_000, UTC)
    ),
)


def as_ranges(pairs: list[tuple[int, int]]) -> Ranges:
    """As `parse_ranges` gives them; overlapping ones do no harm here."""
    return tuple(sorted((start, end if end > start else end + 1440) for start, end in pairs))


@pytest.mark.parametrize("nation", [None, "england"])
def test_agrees_with_the_clock_on_the_wall(nation: Nation | None) -> None:
    """For any week, and any instant, those of both nights of the clocks above all."""

    @settings(max_examples=25, deadline=None)  # a timetable takes a tenth of a second
    @given(
        st.lists(ranges_of_a_day, min_size=7, max_size=7),
        st.dictionaries(st.sampled_from([FORWARD, BACK, date(2026, 12, 25)]), ranges_of_a_day),
        st.lists(instants, min_size=40, max_size=60),
    )
    def agrees(
        week: list[list[tuple[int, int]]], days: dict[date, list[tuple[int, int]]], when: list[datetime]
    ) -> None:
        timetable = Timetable(
            week=tuple(map(as_ranges, week)),
            nation=nation,
            days={day: as_ranges(pairs) for day, pairs in days.items()},
        )
        opening = hours(timetable)
        for at in when:
            assert opening.is_open(utc_us(at)) is naively_open(timetable, at)

    agrees()


def test_changes_alternate_and_ascend() -> None:
    """As the engine looks them up."""
    changes = hours(table("20:00-02:00", nation="scotland")).changes
    assert [is_open for _, is_open in changes] == [bool(index % 2) for index in range(len(changes))]
    assert sorted({at for at, _ in changes}) == [at for at, _ in changes]
