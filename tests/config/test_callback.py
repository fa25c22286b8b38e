"""Call-backs in the configuration: what the engine is given, and what is refused, and why."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.config import ConfigurationError, load
from edge.config.findings import Level
from edge.core.model import Policy
from edge.core.promise import Callbacks, First, Plan, Tasks

Written = Callable[[str], Path]

CALLBACK = """\
[callback]
trunk = "gateway"
show_number = "01632 960100"
"""
FULL = """\
[callback]
trunk = "gateway"
show_number = "01632960100"
dial_format = "e164"
allow = ["+441", "+447"]
deny = ["+447700"]
crown_dependencies = true
key = "3"
concurrent = 4
per_hour = 100
per_number = 5
idle_agents = 2
preemptions = 3
network_failures = 7
unrung_seconds = 9
trunk_rest_seconds = 6
trunk_rest_maximum_seconds = 60
check_seconds = 8
clock_synchronised = false
channels = 30
[tasks]
abandoned_101_after_seconds = 90
alarm_999_seconds = 60
alarm_101_seconds = 1800
[capacity]
channels_101 = 40
[hours.weekday.week]
mon = "08:00-20:00"
tue = "08:00-20:00"
wed = "08:00-20:00"
thu = "08:00-20:00"
fri = "08:00-20:00"
sat = "closed"
sun = "closed"
"""
PLAN = """
[queue.public.callback]
offer_above_seconds = 200
offer_below_seconds = 100
offer_every_seconds = 30
hours = "weekday"
classes = ["vulnerable"]
agents_minimum = 1
in_incident = true
may_key_number = false
list_maximum = 9
first = "caller"
attempts = 2
spacing_seconds = 60
keep_place = false
ring_seconds = 20
age_alarm_seconds = 900
handling_seconds = 100
closing_margin_seconds = 60
"""
LINE = """
[line.returned]
number = "01632960100"
tier = "101"
queue = "public"
greeting = "callback-returned"
"""
MENU = """
[line.public.menu.choices]
"3" = {}
"""


@pytest.fixture
def full(good: str) -> str:
    """Every key of call-backs at once, and they go together."""
    return good.replace("[not_ready]", FULL + "[not_ready]") + PLAN + LINE


def site(good: str, callback: str = CALLBACK.replace("01632 ", "01632"), more: str = LINE) -> str:
    """A site with call-backs as they are by default."""
    return good.replace("[not_ready]", callback + "[not_ready]") + "[queue.public.callback]\n" + more


def test_all_arrives_as_written(written: Written, full: str) -> None:
    """Without a finding."""
    configuration = load(written(full))
    assert configuration.warnings == ()
    policy = configuration.policy()
    assert policy.callbacks == Callbacks(
        key="3",
        trunk="gateway",
        show_number="01632960100",
        concurrent=4,
        per_hour=100,
        per_number=5,
        idle_agents=2,
        preemptions=3,
        network_failures=7,
        unrung_seconds=9,
        trunk_rest_seconds=6,
        trunk_rest_maximum_seconds=60,
        check_seconds=8,
        clock_synchronised=False,
        channels=30,
    )
    assert policy.queues["public"].callback == Plan(
        offer_above_seconds=200,
        offer_below_seconds=100,
        offer_every_seconds=30,
        classes=("vulnerable",),
        agents_minimum=1,
        in_incident=True,
        may_key_number=False,
        list_maximum=9,
        first=First.CALLER,
        attempts=2,
        spacing_seconds=60,
        keep_place=False,
        ring_seconds=20,
        age_alarm_seconds=900,
        handling_seconds=100,
        closing_margin_seconds=60,
    )
    assert policy.tasks == Tasks(abandoned_101_after_seconds=90, alarm_999_seconds=60, alarm_101_seconds=1800)
    assert policy.queues["emergency"].callback is None
    hours = policy.queues["public"].callback_hours
    assert (hours is not None and hours.name, policy.queues["public"].hours) == ("weekday", None)


def test_what_is_left_out_is_the_engine_s_default(written: Written, good: str) -> None:
    """Written once, in the engine; only abandoned calls of 101 become tasks after a time of the file's own."""
    policy = load(written(site(good))).policy()
    assert policy.callbacks == Callbacks(trunk="gateway", show_number="01632960100")
    assert policy.queues["public"].callback == Plan()
    assert policy.tasks == Tasks(abandoned_101_after_seconds=60)


def test_a_site_without_them(written: Written, good: str) -> None:
    """Nothing is offered and nobody is dialled; abandoned calls become tasks all the same."""
    policy: Policy = load(written(good)).policy()
    assert {name: queue.callback for name, queue in policy.queues.items()} == {
        "emergency": None,
        "public": None,
    }
    assert not policy.destinations.judge("01632960555").is_allowed
    assert policy.tasks.abandoned_101_after_seconds == 60
    never = good + "[tasks]\nabandoned_101_after_seconds = 0\n"
    assert load(written(never)).policy().tasks.abandoned_101_after_seconds is None


def test_they_can_be_turned_off_with_what_is_written_kept(written: Written, full: str) -> None:
    """`enabled = false`; a site that has no plan at all is told."""
    off = full.replace("[queue.public.callback]", "[queue.public.callback]\nenabled = false")
    configuration = load(written(off))
    assert configuration.policy().queues["public"].callback is None
    assert configuration.warnings == ()
    (warning,) = load(written(full.replace(PLAN, ""))).warnings
    assert (warning.level, warning.problem) == (Level.WARNING, "no queue offers call-backs")


def test_whom_the_site_dials(written: Written, full: str) -> None:
    """By its own lists, in its own format, and none of its own numbers."""
    judge = load(written(full)).policy().destinations.judge
    assert judge("01632960555").dialled == "+441632960555"
    assert judge("01481 960001").is_allowed
    assert not judge("07700900123").is_allowed, "denied"
    assert not judge("020 7946 0958").is_allowed, "not allowed"
    for own in ("01632960100", "+441632960001", "4001", "101", "999"):
        assert not judge(own).is_allowed, own


@pytest.mark.parametrize(
    ("replaced", "by", "key", "message"),
    [
        # --- values
        ('trunk = "gateway"\nshow', "show", "callback.trunk", "is missing"),
        ('key = "3"', 'key = "*"', "callback.key", "one digit"),
        ('dial_format = "e164"', 'dial_format = "tel"', "callback.dial_format", "'national'"),
        ('allow = ["+441"', 'allow = ["01"', "callback.allow.0", "beginning of numbers with the country"),
        ("concurrent = 4", "concurrent = 0", "callback.concurrent", "greater than"),
        ("clock_synchronised = false", "clock_synchronized = false", "callback.clock_synchronized", "clock_synchronised?"),
        ('first = "caller"', 'first = "police"', "queue.public.callback.first", "'agent'"),
        ("attempts = 2", "attempts = 0", "queue.public.callback.attempts", "greater than"),
        ("offer_above_seconds = 200", "offer_above_second = 200", "queue.public.callback.offer_above_second", "Did you mean"),
        ("alarm_999_seconds = 60", "alarm_999_seconds = 0", "tasks.alarm_999_seconds", "greater than"),
        # --- what does not go together
        ('key = "3"', 'key = "9"', "callback.key", "is the emergency key"),
        ('hours = "weekday"', 'hours = "x"', "queue.public.callback.hours", "there is no table of hours"),
        ('["vulnerable"]', '["v"]', "queue.public.callback.classes.0", 'there is no class "v"'),
        ("offer_below_seconds = 100", "offer_below_seconds = 300", "queue.public.callback.offer_below_seconds", "is above"),
        ("ring_seconds = 20", "ring_seconds = 14.9", "queue.public.callback.ring_seconds", "Ofcom"),
        ("trunk_rest_maximum_seconds = 60", "trunk_rest_maximum_seconds = 5", "callback.trunk_rest_maximum_seconds", "below"),
        ('allow = ["+441"', 'allow = ["+449"', "callback.allow.0", "never dialled"),
        *(
            ('show_number = "01632960100"', f'show_number = "{number}"', "callback.show_number", "cannot be shown")
            for number in ("101", "999", "09012345678", "08451234567", "07012345678", "+353151234567", "960100")
        ),
        ('tier = "101"\nqueue = "public"\ngreeting = "callback-returned"', 'tier = "999"\nqueue = "emergency"',
         "callback.show_number", "a 999 line"),
        ("[queue.public.callback]", "[queue.emergency.callback]", "queue.emergency.callback", "in front of a 999"),
    ],
)  # fmt: skip
def test_what_is_refused(written: Written, full: str, replaced: str, by: str, key: str, message: str) -> None:
    """Every message says where, and what would be right."""
    assert replaced in full
    with pytest.raises(ConfigurationError) as caught:
        load(written(full.replace(replaced, by, 1)))
    assert any(f": {key}: " in line and message in line for line in str(caught.value).splitlines()), (
        caught.value
    )


def test_a_queue_cannot_have_them_without_a_trunk(written: Written, good: str) -> None:
    """And is not refused when it has turned them off."""
    wanted = good + "[queue.public.callback]\n"
    with pytest.raises(ConfigurationError, match=r"queue\.public\.callback: there is no \[callback\]"):
        load(written(wanted))
    assert load(written(wanted + "enabled = false\n")).warnings == ()


def test_the_key_is_in_no_menu_that_leads_there(written: Written, full: str) -> None:
    """By the line itself, by a choice, or by overflow; a menu that leads elsewhere may have it."""
    with pytest.raises(ConfigurationError, match=r"callback\.key: 3 is a choice of line\.public\.menu"):
        load(written(full + MENU))
    elsewhere = full.replace(
        'queue = "public"\ngreeting = "greeting-101"', 'queue = "other"\ngreeting = "greeting-101"'
    )
    elsewhere += '[queue.other]\nskills = ["101"]\n'
    assert load(written(elsewhere + MENU)).warnings == ()
    with pytest.raises(ConfigurationError, match=r"callback\.key: 3 is a choice of line\.public\.menu"):
        load(written(elsewhere + 'limit = 5\noverflow_queue = "public"\n' + MENU))


@pytest.mark.parametrize(
    ("replaced", "by", "message"),
    [
        (LINE, "", "no line has this number"),
        ('greeting = "callback-returned"\n', "", "hears nothing before the music"),
        ('greeting = "callback-returned"', 'greeting = "greeting-101"', "must not say who called"),
        ("agents_minimum = 1", "agents_minimum = 2", "only 1 agents"),
        ("channels = 30", "channels = 40", "none of them is kept free"),
    ],
)
def test_what_is_doubtful(written: Written, full: str, replaced: str, by: str, message: str) -> None:
    """It starts, and says so."""
    assert replaced in full
    warnings = load(written(full.replace(replaced, by, 1))).warnings
    assert [message in finding.problem for finding in warnings] == [True], warnings


def test_the_line_s_number_may_be_written_otherwise(written: Written, full: str) -> None:
    """As the trunk delivers it."""
    assert (
        load(written(full.replace('number = "01632960100"\ntier', 'number = "+441632960100"\ntier'))).warnings
        == ()
    )


def test_a_language_needs_the_prompts_of_call_back(written: Written, full: str) -> None:
    """Whoever is offered one understands it."""
    with pytest.raises(ConfigurationError, match="callback-is-it-safe"):
        load(written(full.replace('greeting = "greeting-101"', 'greeting = "greeting-101"\nlanguage = "gd"')))
