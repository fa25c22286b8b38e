"""999 and the working room in the configuration: what the engine is given, and what is refused, and why."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge.config import Configuration, ConfigurationError, load
from edge.config.findings import Level
from edge.core.model import (
    Announcements,
    Choice,
    Emergency,
    MajorIncident,
    Menu,
    Policy,
    Relaxation,
    Repeat,
)

Written = Callable[[str], Path]

FULL = """\
[site]
name = "Room"
timezone = "Europe/London"
[switch.ari]
password_file = "ari.password"
[switch.ami]
password_file = "ami.password"
[emergency]
queue = "emergency"
key = "9"
keep_free = 1
break_wrap_up = true
all_agents_after_seconds = 9
supervisors_after_seconds = 16
buddy_after_seconds = 31
buddy_phone = "buddy"
alert_info = "<urn:alert:service:999>"
[capacity]
channels_101 = 40
[repeat]
abandons = 3
minutes = 20
class = "vulnerable"
[number_list]
largest_boost_seconds = 450
[hours.office]
bank_holidays = "england"
on_bank_holidays = "10:00-12:00"
days = { "2026-12-24" = "07:00-16:00" }
[hours.office.week]
mon = "07:00-22:00"
tue = "07:00-22:00"
wed = "07:00-22:00"
thu = "07:00-22:00"
fri = "22:00-06:00"
sat = "closed"
sun = "closed"
[incident]
greeting = "incident"
closed_queues = ["welsh"]
closed_prompt = "closed"
[assisted]
offer_seconds = 40
[missed_offers]
maximum = 4
reason = "not there"
[not_ready]
reasons = ["break", "meal"]
[wrap_up]
codes = ["crime", "road"]
[triage]
queues = ["public", "emergency"]
[class.vulnerable]
head_start_seconds = 300
announcements = { every_seconds = 30, prompt = "still-waiting" }
[queue.emergency]
skills = ["999"]
[queue.public]
skills = ["101"]
announcements = { every_seconds = 90, prompt = "", position = true, expected_wait = true }
hours = "office"
limit = 20
maximum_wait_seconds = 900
overflow_queue = "welsh"
overflow_phone = "partner"
closed_prompt = "closed-incident"
full_prompt = "waited-too-long"
[queue.welsh]
skills = ["101", "cymraeg"]
limit = 5
relax = [{ after_seconds = 60, skills = ["101"], prompt = "no-welsh-handler" }]
[line.emergency]
number = "999"
tier = "999"
queue = "emergency"
[line.public]
number = "101"
tier = "101"
queue = "public"
greeting = "greeting-101"
[line.public.menu]
prompt = "language-menu"
[line.public.menu.choices]
"1" = { queue = "welsh", class = "vulnerable", language = "cy", greeting = "language-chosen" }
"2" = {}
[line.relay]
number = "1018"
tier = "101"
queue = "public"
language = "cy"
assisted = true
[line.test]
number = "5990"
tier = "999"
queue = "emergency"
test_phone = "test1"
[agent.4001]
name = "Ann"
skills = { "101" = 1, "999" = 1, cymraeg = 2 }
phone = "desk1"
[agent.4002]
name = "Bryn"
skills = { "999" = 1 }
[agent.4900]
name = "Carys"
skills = {}
phone = "desk9"
supervisor = true
[phone.desk1]
[phone.desk9]
[phone.test1]
[phone.buddy]
kind = "trunk"
trunk = "gateway"
number = "01632960998"
[phone.partner]
kind = "trunk"
trunk = "gateway"
number = "01632960997"
"""


@pytest.fixture
def policy(written: Written) -> Policy:
    return load(written(FULL), 2026).policy()


def test_it_has_no_findings(written: Written) -> None:
    """All keys at once, and they go together."""
    assert load(written(FULL)).warnings == ()


def test_emergency_arrives_as_written(policy: Policy) -> None:
    """What is decided for 999."""
    assert policy.emergency == Emergency(
        queue="emergency",
        key="9",
        keep_free=1,
        break_wrap_up=True,
        all_agents_after_seconds=9,
        supervisors_after_seconds=16,
        buddy_after_seconds=31,
        buddy_phone="buddy",
    )
    assert policy.agents["4900"].supervisor
    assert not policy.agents["4001"].supervisor


def test_callers_of_101_arrive_as_written(policy: Policy) -> None:
    """What is decided for the others."""
    assert policy.repeat == Repeat(abandons=3, minutes=20, priority_class="vulnerable")
    assert policy.incident == MajorIncident(
        greeting="incident", closed_queues=("welsh",), closed_prompt="closed"
    )
    assert (policy.largest_boost_seconds, policy.assisted_offer_seconds) == (450, 40)
    assert (policy.missed_offers_maximum, policy.missed_reason) == (4, "not there")
    assert policy.classes["vulnerable"].announcements == Announcements(
        every_seconds=30, prompt="still-waiting"
    )
    assert policy.queues["welsh"].relaxations == (
        Relaxation(after_seconds=60, skills=("101",), prompt="no-welsh-handler"),
    )


def test_a_queue_arrives_as_written(policy: Policy) -> None:
    """Hours as instants, the rest as it stands."""
    queue = policy.queues["public"]
    assert queue.announcements == Announcements(
        every_seconds=90, prompt=None, position=True, expected_wait=True
    )
    assert (queue.limit, queue.maximum_wait_seconds) == (20, 900)
    assert (queue.overflow_queue, queue.overflow_phone) == ("welsh", "partner")
    assert (queue.closed_prompt, queue.full_prompt) == ("closed-incident", "waited-too-long")
    assert queue.hours is not None
    thursday_1530_utc_us, thursday_1630_utc_us = 1_798_126_200_000_000, 1_798_129_800_000_000
    assert [queue.hours.is_open(at) for at in (thursday_1530_utc_us, thursday_1630_utc_us)] == [True, False]
    assert policy.queues["welsh"].hours is None


def test_lines_arrive_as_written(policy: Policy) -> None:
    """Language, menu, relay, test."""
    assert policy.lines["public"].menu == Menu(
        prompt="language-menu",
        choices={
            "1": Choice(
                queue="welsh", priority_class="vulnerable", language="cy", greeting="language-chosen"
            ),
            "2": Choice(),
        },
    )
    assert (policy.lines["relay"].language, policy.lines["relay"].assisted) == ("cy", True)
    assert (policy.lines["public"].language, policy.lines["public"].assisted) == ("en", False)
    assert policy.lines["test"].test_phone == "test1"


def test_a_999_rings_each_agent_four_seconds_and_a_101_fifteen(policy: Policy, written: Written) -> None:
    """Unless the file says otherwise."""
    assert {name: queue.offer_seconds for name, queue in policy.queues.items()} == {
        "emergency": 4,
        "public": 15,
        "welsh": 15,
    }
    given = FULL.replace('skills = ["999"]', 'skills = ["999"]\noffer_seconds = 15', 1)
    assert load(written(given)).policy().queues["emergency"].offer_seconds == 15


def test_what_is_left_out_is_the_engine_s_default(written: Written, good: str) -> None:
    """Written once, in the engine; the emergency queue is that of the first 999 line, and three misses are enough."""
    given = load(written(good.replace('[emergency]\nbuddy_phone = "home"\n', ""))).policy()
    bare = Policy(lines={}, queues={}, classes={}, agents={}, phones={})
    assert given.emergency == replace(Emergency(), queue="emergency")
    assert (given.repeat, given.incident) == (None, MajorIncident())
    assert given.largest_boost_seconds == bare.largest_boost_seconds
    assert given.assisted_offer_seconds == bare.assisted_offer_seconds
    assert given.missed_offers_maximum == 3


def test_zero_and_nothing_mean_never_and_none(written: Written) -> None:
    """A rung that is left out, a key that is none, misses that do not count."""
    text = FULL.replace("all_agents_after_seconds = 9", "all_agents_after_seconds = 0")
    text = text.replace('key = "9"', 'key = ""').replace("maximum = 4", "maximum = 0")
    given = load(written(text)).policy()
    assert (given.emergency.key, given.emergency.all_agents_after_seconds) == (None, None)
    assert given.missed_offers_maximum is None


def test_the_adapter_is_told_the_distinct_ring(written: Written) -> None:
    """Of the file, else ours, else none."""
    assert load(written(FULL)).asterisk_settings().alert_info == "<urn:alert:service:999>"
    none = FULL.replace("<urn:alert:service:999>", "")
    assert load(written(none)).asterisk_settings().alert_info == ""


def test_codes_and_limits_for_the_dialplan(written: Written) -> None:
    """What the switch does without us."""
    configuration: Configuration = load(written(FULL))
    assert configuration.capacity.channels_101 == 40
    assert configuration.wrap_up.codes == ("crime", "road")
    assert configuration.triage.queues == ("public", "emergency")
    assert configuration.codes.model_dump() == {
        "sign_in": "*22", "sign_out": "*23", "ready": "*24", "not_ready": "*25", "wrap_up": "*26", "assist": "*27",
        "assisted": "*28", "send_back": "*30", "listen": "*31", "whisper": "*32", "barge": "*33",
        "conference": "*34",
        "callback_done": "*35", "machine": "*36", "task_next": "*37", "task_done": "*38",
    }  # fmt: skip


CODES = '[codes]\n{}\n[not_ready]\nreasons = ["break", "meal"]'
EMERGENCY_QUEUE = '[queue.emergency]\nskills = ["999"]'

ERRORS = [
    # replaced, by, key, part of the message
    # --- values
    ('timezone = "Europe/London"', 'timezone = "Europe/Londn"', "site.timezone", "time zone"),
    ('timezone = "Europe/London"', 'timezone = "../../etc/passwd"', "site.timezone", "time zone"),
    ('key = "9"', 'key = "99"', "emergency.key", "one key of a phone"),
    ('key = "9"', 'key = "A"', "emergency.key", "one key of a phone"),
    ('"2" = {}', '"a" = {}', "line.public.menu.choices.a", "one key of a phone"),
    ("keep_free = 1", "keep_free = -1", "emergency.keep_free", "greater than"),
    ("break_wrap_up = true", 'break_wrap_up = "yes"', "emergency.break_wrap_up", "boolean"),
    ("<urn:alert:service:999>", "x\\r\\nEvil: 1", "emergency.alert_info", "Alert-Info"),
    ("channels_101 = 40", "channels_101 = -1", "capacity.channels_101", "greater than"),
    ("abandons = 3", "abandons = 0", "repeat.abandons", "greater than"),
    ("minutes = 20\n", "", "repeat.minutes", "is missing"),
    ("largest_boost_seconds = 450", "largest_boost_seconds = -1", "number_list.largest_boost_seconds", "gre"),
    ('sun = "closed"\n', "", "hours.office.week.sun", "is missing"),
    ('mon = "07:00-22:00"', 'mon = "7-22"', "hours.office.week.mon", 'hours such as "07:00-22:00"'),
    ('mon = "07:00-22:00"', 'monday = "07:00-22:00"', "hours.office.week.monday", "Did you mean mon?"),
    ('"england"', '"cornwall"', "hours.office.bank_holidays", "'scotland'"),
    ('"2026-12-24"', '"2026-12-32"', "hours.office.days.2026-12-32", "a date such as"),
    ('"2026-12-24"', '"20261224"', "hours.office.days.20261224", "a date such as"),
    ('"07:00-16:00"', '"07:00-07:00"', "hours.office.days.2026-12-24", "all day is 00:00-24:00"),
    ('"10:00-12:00"', '"10:00-12:00, 11:00-13:00"', "hours.office.on_bank_holidays", "overlap"),
    ("maximum = 4", "maximum = -1", "missed_offers.maximum", "greater than"),
    ('reason = "not there"', 'reason = "a,b"', "missed_offers.reason", "letters, digits"),
    ("offer_seconds = 40", "offer_seconds = 1", "assisted.offer_seconds", "greater than"),
    ('["crime", "road"]', '["a)b"]', "wrap_up.codes.0", "letters, digits"),
    ('["crime", "road"]', str([f"code {n}" for n in range(10)]), "wrap_up.codes", "at most 9"),
    ("limit = 20", "limit = 0", "queue.public.limit", "greater than"),
    ("maximum_wait_seconds = 900", "maximum_wait_seconds = 0", "queue.public.maximum_wait_seconds", "grea"),
    ("every_seconds = 90", "every_seconds = 1", "queue.public.announcements.every_seconds", "greater than"),
    ("every_seconds = 90", "every_second = 90", "queue.public.announcements.every_second", "Did you mean"),
    (
        'language = "cy"\nassisted',
        'language = "Welsh"\nassisted',
        "line.relay.language",
        "code of a language",
    ),
    (
        "[line.public.menu.choices]",
        "[line.public.menu.choice]",
        "line.public.menu.choice",
        "Did you mean choices?",
    ),
    ('"1" = { queue', '"1" = { queu', "line.public.menu.choices.1.queu", "Did you mean queue?"),
    # --- names
    ('queue = "emergency"\nkey', 'queue = "urgent"\nkey', "emergency.queue", 'there is no queue "urgent"'),
    ('buddy_phone = "buddy"', 'buddy_phone = "bud"', "emergency.buddy_phone", 'there is no phone "bud"'),
    ('class = "vulnerable"\n[number', 'class = "v"\n[number', "repeat.class", 'there is no class "v"'),
    ('["welsh"]', '["cymraeg"]', "incident.closed_queues.0", 'there is no queue "cymraeg"'),
    ('["public", "emergency"]', '["public", "x"]', "triage.queues.1", 'there is no queue "x"'),
    ('overflow_queue = "welsh"', 'overflow_queue = "x"', "queue.public.overflow_queue", "there is no queue"),
    ('"partner"', '"x"', "queue.public.overflow_phone", 'there is no phone "x"'),
    ('hours = "office"', 'hours = "x"', "queue.public.hours", 'no table of hours "x". Known: office.'),
    ('{ queue = "welsh"', '{ queue = "x"', "line.public.menu.choices.1.queue", 'there is no queue "x"'),
    ('class = "vulnerable", l', 'class = "x", l', "line.public.menu.choices.1.class", "there is no class"),
    ('test_phone = "test1"', 'test_phone = "x"', "line.test.test_phone", 'there is no phone "x"'),
    # --- nothing stands in front of a 999
    (
        'tier = "999"',
        'tier = "999"\nmenu = { choices = { "1" = {} } }',
        "line.emergency.menu",
        "in front of a 999",
    ),
    ('tier = "999"', 'tier = "999"\ngreeting = "closed"', "line.emergency.greeting", "in front of a 999"),
    (
        'tier = "999"',
        'tier = "999"\nanswer = "on_arrival"\ngreeting = "closed"',
        "line.emergency.greeting",
        "in front of a 999",
    ),
    *(
        (
            EMERGENCY_QUEUE,
            f"{EMERGENCY_QUEUE}\n{key} = {value}",
            f"queue.emergency.{key}",
            "in front of a 999",
        )
        for key, value in (
            ("hours", '"office"'),
            ("limit", "100"),
            ("maximum_wait_seconds", "900"),
            ("overflow_queue", '"public"'),
            ("overflow_phone", '"partner"'),
            ("announcements", "{}"),
            ("relax", '[{ after_seconds = 9, skills = [], prompt = "still-waiting" }]'),
        )
    ),
    (
        'queue = "emergency"\nkey',
        'queue = "public"\nkey',
        "emergency.queue",
        '101 callers wait in the queue "public" too',
    ),
    ('{ queue = "welsh"', '{ queue = "emergency"', "line.public.menu.choices.1.queue", "emergency key alone"),
    (
        'overflow_queue = "welsh"',
        'overflow_queue = "emergency"',
        "queue.public.overflow_queue",
        "emergency key alone",
    ),
    ('["welsh"]', '["emergency"]', "incident.closed_queues", "never closed"),
    # --- escalation
    (
        "supervisors_after_seconds = 16",
        "supervisors_after_seconds = 9",
        "emergency.supervisors_after_seconds",
        "is not after all_agents_after_seconds = 9",
    ),
    (
        "buddy_after_seconds = 31",
        "buddy_after_seconds = 12",
        "emergency.buddy_after_seconds",
        "is not after supervisors_after_seconds = 16",
    ),
    (
        "supervisors_after_seconds = 16\nbuddy_after_seconds = 31",
        "supervisors_after_seconds = 0\nbuddy_after_seconds = 9",
        "emergency.buddy_after_seconds",
        "is not after all_agents_after_seconds = 9",
    ),
    ("keep_free = 1", "keep_free = 3", "emergency.keep_free", "only 2 agents"),
    # --- phones and numbers that the switch dials by itself
    ('buddy_phone = "buddy"', 'buddy_phone = "test1"', "emergency.buddy_phone", "another force's number"),
    (
        'buddy_phone = "buddy"',
        'buddy_phone = "desk1"',
        "emergency.buddy_phone",
        "the usual phone of agent 4001",
    ),
    *(
        ("01632960998", number, "emergency.buddy_phone", "come round to us")
        for number in ("999", "112", "101", "+44999", "0044112", "18000", "5990", "1018")
    ),
    ("01632960997", "999", "queue.public.overflow_phone", "come round to us"),
    ('test_phone = "test1"', 'test_phone = "desk1"', "line.test.test_phone", "the usual phone of agent 4001"),
    ('test_phone = "test1"', 'test_phone = "buddy"', "line.test.test_phone", "would ring the buddy force"),
    (
        "[phone.test1]",
        '[phone.test1]\nkind = "trunk"\ntrunk = "gateway"\nnumber = "112"',
        "line.test.test_phone",
        "come round to us",
    ),
    (
        'language = "cy"\nassisted',
        'test_phone = "test1"\nassisted',
        "line.relay.test_phone",
        "only a 999 line can be for tests",
    ),
    ('"partner"', '"desk1"', "queue.public.overflow_phone", "a number behind a trunk"),
    # --- keys and codes
    ('"2" = {}', '"9" = {}', "line.public.menu.choices.9", "9 is the emergency key"),
    ('key = "9"', 'key = "1"', "line.public.menu.choices.1", "1 is the emergency key"),
    (
        '[not_ready]\nreasons = ["break", "meal"]',
        CODES.format('wrap_up = "*22"'),
        "codes.wrap_up",
        "codes.sign_in is *22 too",
    ),
    (
        '[not_ready]\nreasons = ["break", "meal"]',
        CODES.format('assist = "*2"'),
        "codes.assist",
        "codes.sign_in = *22 begins with this code",
    ),
    (
        '[not_ready]\nreasons = ["break", "meal"]',
        CODES.format('whisper = "*311"'),
        "codes.listen",
        "codes.whisper = *311 begins with this code",
    ),
    (
        '[not_ready]\nreasons = ["break", "meal"]',
        CODES.format('barge = "49"'),
        "codes.barge",
        "agent 4900, whose number = 4900 begins with this code",
    ),
    ('["crime", "road"]', '["crime", "crime"]', "wrap_up.codes.1", 'wrap_up.codes.0 is "crime" too'),
    ('["public", "emergency"]', '["public", "public"]', "triage.queues.1", "too"),
    ('["break", "meal"]', '["break", "break"]', "not_ready.reasons.1", "too"),
    # --- ways from queue to queue, hours, announcements
    (
        "limit = 5",
        'limit = 5\noverflow_queue = "public"',
        "queue.welsh.overflow_queue",
        "round in a circle: public, welsh, public",
    ),
    (
        "limit = 5",
        'limit = 5\noverflow_queue = "welsh"',
        "queue.welsh.overflow_queue",
        "round in a circle: welsh, welsh",
    ),
    ('bank_holidays = "england"\non', "on", "hours.office.on_bank_holidays", "no bank holidays are regarded"),
    (
        'prompt = "", position = true, expected_wait = true',
        'prompt = ""',
        "queue.public.announcements",
        "nothing is announced",
    ),
    (
        'greeting = "greeting-101"',
        'answer = "by_agent"',
        "line.public.menu",
        "nobody can hear a menu",
    ),
    (
        'greeting = "greeting-101"',
        'answer = "by_agent"\ngreeting = "greeting-101"',
        "line.public.greeting",
        "nobody can hear a greeting",
    ),
]


@pytest.mark.parametrize(("replaced", "by", "key", "message"), ERRORS)
def test_refused_with_the_key_and_the_reason(
    written: Written, replaced: str, by: str, key: str, message: str
) -> None:
    """Each contradiction and each bad value gives one line that names the key and says what is wrong."""
    text = FULL.replace(replaced, by, 1)
    assert text != FULL
    with pytest.raises(ConfigurationError) as refused:
        load(written(text))
    found = [f for f in refused.value.findings if f.where.endswith(f": {key}")]
    assert [f.level for f in found if message in str(f)] == [Level.ERROR]


def test_hours_that_are_never_open_are_refused(written: Written) -> None:
    """Bank holidays do not count: nobody waits for Christmas to be served."""
    week = FULL.replace("22:00-06:00", "closed").replace('"07:00-22:00"', '"closed"')
    with pytest.raises(ConfigurationError, match=r"hours\.office\.week: it is never open"):
        load(written(week))


def test_two_circles_are_two_findings(written: Written) -> None:
    """And a queue that leads into a circle is in none."""
    more = "".join(
        f'[queue.q{n}]\nskills = []\nlimit = 1\noverflow_queue = "q{target}"\n'
        for n, target in enumerate((1, 2, 1, 4, 3))
    )
    with pytest.raises(ConfigurationError) as refused:
        load(written(FULL + more))
    assert sorted(str(f).split("circle: ")[1].split(".")[0] for f in refused.value.findings) == [
        "q1, q2, q1",
        "q3, q4, q3",
    ]


NO_SUPERVISOR = ("supervisor = true", "supervisor = false")
WARNINGS = [
    # replacements, key, part of the problem
    ([('skills = {}\nphone = "desk9"', "skills = {}")], "agent.4900.supervisor", "has no usual phone"),
    ([NO_SUPERVISOR, ('buddy_phone = "buddy"', "")], "emergency", "has nowhere to go"),
    (
        [NO_SUPERVISOR, ("buddy_after_seconds = 31", "buddy_after_seconds = 0")],
        "emergency",
        "has nowhere to go",
    ),
    (
        [("supervisors_after_seconds = 16", "supervisors_after_seconds = 0"), ('buddy_phone = "buddy"', "")],
        "emergency",
        "has nowhere to go",
    ),
    (
        [("limit = 20\nmaximum_wait_seconds = 900\n", ""), ('hours = "office"\n', "")],
        "queue.public.overflow_queue",
        "nothing ever overflows",
    ),
    ([("[number_list]", '[number_list]\nfile = "numbers.toml"')], "number_list.file", "is not there"),
]


@pytest.mark.parametrize(("replacements", "key", "message"), WARNINGS)
def test_doubtful_and_accepted(
    written: Written, replacements: list[tuple[str, str]], key: str, message: str
) -> None:
    """Said with its key; the daemon starts."""
    text = FULL
    for replaced, by in replacements:
        assert replaced in text
        text = text.replace(replaced, by)
    warnings = load(written(text)).warnings
    assert [(f.level, f.where.rsplit(": ", 1)[1]) for f in warnings] == [(Level.WARNING, key)]
    assert message in warnings[0].problem


def test_a_room_without_999_needs_nothing_of_it(written: Written) -> None:
    """No supervisor, no buddy, no key that would lead nowhere; and what cannot be kept is refused."""
    text = """\
[site]
name = "Room"
[switch.ari]
password_file = "ari.password"
[switch.ami]
password_file = "ami.password"
[queue.public]
skills = []
[line.public]
number = "101"
tier = "101"
queue = "public"
menu = { choices = { "9" = {} } }
"""
    configuration = load(written(text))
    assert (configuration.warnings, configuration.policy().emergency.queue) == ((), None)
    with pytest.raises(ConfigurationError, match=r"emergency\.key: there is no 999 line"):
        load(written(text + '[emergency]\nkey = "9"\n'))


def test_a_named_queue_of_999_is_guarded_without_a_999_line(written: Written) -> None:
    """Upgraded callers wait there: nothing may be in front of them either."""
    text = FULL.replace('[line.emergency]\nnumber = "999"\ntier = "999"\nqueue = "emergency"\n', "")
    text = text.replace(
        '[line.test]\nnumber = "5990"\ntier = "999"\nqueue = "emergency"\ntest_phone = "test1"\n', ""
    )
    text = text.replace(EMERGENCY_QUEUE, f"{EMERGENCY_QUEUE}\nlimit = 9")
    with pytest.raises(ConfigurationError, match=r"queue\.emergency\.limit: 999 callers wait"):
        load(written(text))
