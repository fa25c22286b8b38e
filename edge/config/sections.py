"""What may stand in the configuration: its tables, typed, with their units and bounds.

Bounds are those within which the promises of the design can be kept; each message says what would be right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from edge.config.fields import (
    Address,
    AlertInfo,
    Beginning,
    Climb,
    Code,
    Day,
    Days,
    DeadMan,
    Digit,
    ExpectedWait,
    Folder,
    HeadStart,
    Hour,
    Hours,
    Interval,
    Key,
    KeyOrNone,
    Language,
    Leaving,
    Level,
    LoopbackHost,
    LoopbackUrl,
    Minutes,
    Moment,
    Name,
    Number,
    Password,
    Patience,
    Pin,
    Port,
    Prompt,
    PromptOrNone,
    Reason,
    Ring,
    Short,
    TestDays,
    TimeZone,
    User,
    Version,
    matching,
    whole,
)
from edge.config.hours import WEEK, Nation, Ranges, Timetable, parse_ranges
from edge.core.model import STANDARD_CLASS, Announcements, Answer, Emergency, PhoneKind, Policy, Queue
from edge.core.promise import Callbacks, First, Plan, TaskKind, Tasks
from edge.destinations import ALLOWED, DialFormat

EMERGENCY_OFFER_SECONDS = 4.0
"""How long one agent's phone rings for a 999 unless the file says otherwise: then the next agent's rings."""
CODES_MOST = 9
"""Wrap-up codes and queues to send back to are dialled by one digit each."""


def _default(model: type, name: str) -> Any:
    """The engine's own default, so that it is written once."""
    return next(f.default for f in fields(model) if f.name == name)


ABANDONED_101_SECONDS = 60.0
"""A 101 that gave up after so long becomes a task, unless the file says otherwise."""


OFFER_SECONDS = _default(Queue, "offer_seconds")
"""The same for a 101."""


class Section(BaseModel):
    """A table of the file: unknown keys are refused, nothing changes after loading.

    Its validator is built when it is first used: that of the whole file has all tables in it, and most need none of their own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False, defer_build=True)


class SiteSection(Section):
    """`[site]`: the name is shown to people, nothing else; opening hours are in the time zone's local time."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    timezone: TimeZone = "Europe/London"


class AriSection(Section):
    """`[switch.ari]`: the switch's call-control interface."""

    url: LoopbackUrl = "http://127.0.0.1:8088"
    user: User = "edge101"
    password_file: Path
    password: Password = Field(default=SecretStr(""), exclude=True)
    """Read from `password_file`; never from the file itself."""


class AmiSection(Section):
    """`[switch.ami]`: the switch's manager interface."""

    host: LoopbackHost = "127.0.0.1"
    port: Port = 5038
    user: User = "edge101"
    password_file: Path
    password: Password = Field(default=SecretStr(""), exclude=True)
    """Read from `password_file`; never from the file itself."""


class RescueSection(Section):
    """`[switch.rescue]`: the account of `edge rescue` at the manager interface, with fewer rights than the daemon's."""

    user: User = "edge101-rescue"
    password_file: Path
    password: Password = Field(default=SecretStr(""), exclude=True)
    """Read from `password_file`; never from the file itself."""


class SwitchSection(Section):
    """`[switch]`: what it is and how to reach it."""

    kind: Literal["asterisk"] = "asterisk"
    version: Version = "22.10"
    app: User = "edge101"
    ari: AriSection
    ami: AmiSection
    rescue: RescueSection | None = None
    """None: `edge rescue` cannot be used."""
    keeps_record: bool = True
    """Whether the switch writes down by itself what becomes of calls, to be read after the daemon was away. It holds numbers."""
    log_directory: Folder = "/var/log/asterisk"
    """Where it does so: Asterisk's `astlogdir`."""

    @property
    def version_numbers(self) -> tuple[int, ...]:
        """The version as numbers, as `dialplans.asterisk.generate` wants it."""
        return tuple(map(int, self.version.split(".")))


class LedgerSection(Section):
    """`[ledger]`: where facts are kept (an SQLAlchemy URL)."""

    url: Annotated[
        str,
        matching(
            r"[a-z0-9+]+://\S*", 'must be a database URL such as "sqlite:////var/lib/edge101/ledger.sqlite"'
        ),
    ] = "sqlite:////var/lib/edge101/ledger.sqlite"


class LogSection(Section):
    """`[log]`."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class DaemonSection(Section):
    """`[daemon]`: `edge run` itself. `metrics_port`: where it tells Prometheus how it does, on loopback alone; None: nowhere."""

    metrics_port: Port | None = None


class MiSection(Section):
    """`[mi]`: `edge mi`, which serves the record to others. Files beside the configuration, its folder beside the ledger."""

    address: Address = "127.0.0.1"
    port: Port = 8101
    directory: Path | None = None
    """Where MI keeps what is its own; None: the folder `mi` beside the ledger."""
    certificate_file: Path | None = None
    key_file: Path | None = None
    client_ca_file: Path | None = None
    """None: clients need no certificate of their own, the token is enough."""
    connections: Annotated[int, whole(1, 10_000)] = 256
    connections_of_address: Annotated[int, whole(1, 10_000)] = 64
    requests_per_minute: Annotated[int, whole(1, 1_000_000)] = 12_000
    """Of one token."""
    requests_per_minute_of_address: Annotated[int, whole(1, 1_000_000)] = 24_000


class TimingSection(Section):
    """`[timing]`: the seconds of `edge.core.model.Policy`, with the same meaning."""

    unreachable_seconds: Short = _default(Policy, "unreachable_seconds")
    withdrawal_seconds: Short = _default(Policy, "withdrawal_seconds")
    connect_seconds: Short = _default(Policy, "connect_seconds")
    announcement_seconds: Leaving = _default(Policy, "announcement_seconds")
    leaving_seconds: Leaving = _default(Policy, "leaving_seconds")
    refusal_memory_seconds: Hour = _default(Policy, "refusal_memory_seconds")
    refusal_rest_seconds: Hour = _default(Policy, "refusal_rest_seconds")
    unreachable_rest_seconds: Hour = _default(Policy, "unreachable_rest_seconds")
    crossed_rest_seconds: Moment = _default(Policy, "crossed_rest_seconds")


class EmergencySection(Section):
    """`[emergency]`: what is decided for 999 as a whole (`edge.core.model.Emergency`). Seconds of 0 and "" mean never, none."""

    queue: Name | None = None
    """Where an upgraded 101 waits; None: where the first 999 line's callers do."""
    key: KeyOrNone = "9"
    keep_free: Annotated[int, whole(0, 1000)] = 0
    break_wrap_up: Annotated[bool, Field(strict=True)] = False
    all_agents_after_seconds: Climb = _default(Emergency, "all_agents_after_seconds")
    supervisors_after_seconds: Climb = _default(Emergency, "supervisors_after_seconds")
    buddy_after_seconds: Climb = _default(Emergency, "buddy_after_seconds")
    buddy_phone: Name | None = None
    alert_info: AlertInfo = "<http://edge101.invalid/999>;info=999"


class CapacitySection(Section):
    """`[capacity]`: `channels_101` callers of 101 lines are admitted at once, 0 for no limit; 999 is never counted."""

    channels_101: Annotated[int, whole(0, 100_000)] = 0


class ShipSection(Section):
    """`[ship]`: the PostgreSQL database that `edge ship` copies the ledger to, and under which name (that of the site)."""

    to: Annotated[
        str,
        matching(
            r"postgresql(\+psycopg)?://[^\s:]*(:[0-9]+)?(/\S*)?",
            'must be such as "postgresql+psycopg://edge101@db.example/edge101?sslmode=verify-full": without a password',
        ),
    ]
    name: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    password_file: Path | None = None
    """None: the password is where libpq looks for it, or there is none. Only `edge ship` reads it, by itself."""


class RetentionSection(Section):
    """`[retention]`: for how many days after its end callers' data of a call is kept, by class of record; 0: for ever.

    `readers`: who must have acknowledged the record before anything of it is erased; none: every reader that ever did.
    `disclosures_days`: for how many days a line of the log of disclosures is kept after its pull. Section 62 of the Data
    Protection Act 2018 asks for that log and names no time; seven years cover the six in which a claim can be made.
    """

    emergency_days: Days = 0
    routine_days: Days = 0
    callback_days: Days = 0
    task_days: Days = 0
    test_days: TestDays = 0
    disclosures_days: Days = 2557
    readers: tuple[
        Annotated[str, matching(r"[a-z0-9][a-z0-9_-]{0,39}", 'must be a reader\'s name, such as "central"')],
        ...,
    ] = ()


class RepeatSection(Section):
    """`[repeat]`: who gave up `abandons` times within `minutes` is put into `class`."""

    abandons: Annotated[int, whole(1, 100)]
    minutes: Minutes
    priority_class: Name = Field(alias="class")


class NumberListSection(Section):
    """`[number_list]`: the force's list of known numbers (`edge.directory`), beside this file; no file is an empty list."""

    file: Path | None = None
    largest_boost_seconds: HeadStart = _default(Policy, "largest_boost_seconds")


class WeekSection(Section):
    """`week` of `[hours.NAME]`. Every day is named, so that none is closed by being forgotten."""

    mon: Hours
    tue: Hours
    wed: Hours
    thu: Hours
    fri: Hours
    sat: Hours
    sun: Hours

    @property
    def ranges(self) -> tuple[Ranges, ...]:
        """From Monday to Sunday."""
        return tuple(parse_ranges(getattr(self, day)) for day in WEEK)


class HoursSection(Section):
    """`[hours.NAME]`: `days` come before bank holidays, and those before the week."""

    week: WeekSection
    bank_holidays: Nation | None = None
    on_bank_holidays: Hours = "closed"
    days: dict[Day, Hours] = Field(default_factory=dict)

    @property
    def timetable(self) -> Timetable:
        """What `edge.config.hours` works out."""
        return Timetable(
            week=self.week.ranges,
            nation=self.bank_holidays,
            on_bank_holidays=parse_ranges(self.on_bank_holidays),
            days={date.fromisoformat(day): parse_ranges(hours) for day, hours in self.days.items()},
        )


class IncidentSection(Section):
    """`[incident]`: what changes for 101 while a major incident is declared."""

    greeting: Prompt | None = None
    closed_queues: tuple[Name, ...] = ()
    closed_prompt: Prompt = "closed-incident"


class AssistedSection(Section):
    """`[assisted]`: callers who come through a relay. `offer_seconds`: how long a phone rings for one at least."""

    offer_seconds: Ring = _default(Policy, "assisted_offer_seconds")


class MissedOffersSection(Section):
    """`[missed_offers]`: after `maximum` in a row an agent is set not ready for `reason`; 0: never."""

    maximum: Annotated[int, whole(0, 99)] = 3
    reason: Reason = "missed calls"


class CodesSection(Section):
    """`[codes]`: what an agent dials on the phone."""

    sign_in: Code = "*22"
    sign_out: Code = "*23"
    ready: Code = "*24"
    not_ready: Code = "*25"
    wrap_up: Code = "*26"
    assist: Code = "*27"
    assisted: Code = "*28"
    send_back: Code = "*30"
    listen: Code = "*31"
    whisper: Code = "*32"
    barge: Code = "*33"
    conference: Code = "*34"
    callback_done: Code = "*35"
    machine: Code = "*36"
    task_next: Code = "*37"
    task_done: Code = "*38"


class CallbackSection(Section):
    """`[callback]`: call-backs as a whole (`edge.core.promise.Callbacks`), and who is dialled (`edge.destinations`)."""

    trunk: User
    show_number: Number
    """Ours, that the person sees and may ring back."""
    dial_format: DialFormat = DialFormat.NATIONAL
    allow: tuple[Beginning, ...] = ALLOWED
    deny: tuple[Beginning, ...] = ()
    crown_dependencies: Annotated[bool, Field(strict=True)] = False
    key: Digit = _default(Callbacks, "key")
    concurrent: Annotated[int, whole(1, 1000)] = _default(Callbacks, "concurrent")
    per_hour: Annotated[int, whole(1, 10_000)] = _default(Callbacks, "per_hour")
    per_number: Annotated[int, whole(1, 100)] = _default(Callbacks, "per_number")
    idle_agents: Annotated[int, whole(0, 1000)] = _default(Callbacks, "idle_agents")
    preemptions: Annotated[int, whole(1, 100)] = _default(Callbacks, "preemptions")
    network_failures: Annotated[int, whole(1, 1000)] = _default(Callbacks, "network_failures")
    unrung_seconds: Ring = _default(Callbacks, "unrung_seconds")
    trunk_rest_seconds: Short = _default(Callbacks, "trunk_rest_seconds")
    trunk_rest_maximum_seconds: Interval = _default(Callbacks, "trunk_rest_maximum_seconds")
    check_seconds: Ring = _default(Callbacks, "check_seconds")
    clock_synchronised: Annotated[bool, Field(strict=True)] = _default(Callbacks, "clock_synchronised")
    channels: Annotated[int, whole(0, 100_000)] = 0
    """101 channels in use beyond which nobody is dialled; 0: no limit."""


class CallbackPlanSection(Section):
    """`callback` of a queue: `edge.core.promise.Plan`. `enabled` False: as if it were left out, with what is written kept."""

    enabled: Annotated[bool, Field(strict=True)] = True
    offer_above_seconds: ExpectedWait = _default(Plan, "offer_above_seconds")
    offer_below_seconds: ExpectedWait = _default(Plan, "offer_below_seconds")
    offer_every_seconds: Interval = _default(Plan, "offer_every_seconds")
    hours: Name | None = None
    """When they are offered; None: whenever the queue is open."""
    classes: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    agents_minimum: Annotated[int, whole(1, 1000)] = _default(Plan, "agents_minimum")
    in_incident: Annotated[bool, Field(strict=True)] = _default(Plan, "in_incident")
    may_key_number: Annotated[bool, Field(strict=True)] = _default(Plan, "may_key_number")
    list_maximum: Annotated[int, whole(1, 100_000)] = _default(Plan, "list_maximum")
    first: First = _default(Plan, "first")
    attempts: Annotated[int, whole(1, 20)] = _default(Plan, "attempts")
    spacing_seconds: HeadStart = _default(Plan, "spacing_seconds")
    keep_place: Annotated[bool, Field(strict=True)] = _default(Plan, "keep_place")
    ring_seconds: Ring = _default(Plan, "ring_seconds")
    age_alarm_seconds: Patience = _default(Plan, "age_alarm_seconds")
    handling_seconds: Patience = _default(Plan, "handling_seconds")
    closing_margin_seconds: Hour = _default(Plan, "closing_margin_seconds")


class TasksSection(Section):
    """`[tasks]`: which abandoned 101 become ring-back tasks, when an open task is an alarm, and which are offered to phones
    (`edge.core.promise.Tasks`)."""

    abandoned_101_after_seconds: HeadStart = ABANDONED_101_SECONDS
    """From this wait on; 0: never."""
    alarm_999_seconds: Patience = _default(Tasks, "alarm_999_seconds")
    alarm_101_seconds: Patience = _default(Tasks, "alarm_101_seconds")
    offered: tuple[TaskKind, ...] = _default(Tasks, "offered")
    again_seconds: Patience = _default(Tasks, "again_seconds")
    offer_seconds: Ring = _default(Tasks, "offer_seconds")
    choose_seconds: Ring = _default(Tasks, "choose_seconds")
    dial_seconds: Ring = _default(Tasks, "dial_seconds")


class NotReadySection(Section):
    """`[not_ready]`: the n-th reason is dialled as the not-ready code followed by n."""

    reasons: Annotated[tuple[Reason, ...], Field(max_length=99)] = ()


class WrapUpSection(Section):
    """`[wrap_up]`: the n-th code (what a call was about) is dialled as the wrap-up code followed by n."""

    codes: Annotated[tuple[Reason, ...], Field(max_length=CODES_MOST)] = ()


class TriageSection(Section):
    """`[triage]`: a caller is sent back to the n-th queue by a transfer to the send-back code followed by n."""

    queues: Annotated[tuple[Name, ...], Field(max_length=CODES_MOST)] = ()


class AnnouncementsSection(Section):
    """`announcements` of a queue or class: `edge.core.model.Announcements`. `prompt` of "": none."""

    every_seconds: Interval = _default(Announcements, "every_seconds")
    prompt: PromptOrNone = "still-waiting"
    position: Annotated[bool, Field(strict=True)] = False
    expected_wait: Annotated[bool, Field(strict=True)] = False


class ClassSection(Section):
    """`[class.NAME]`."""

    head_start_seconds: HeadStart = 0.0
    announcements: AnnouncementsSection | None = None


class RelaxationSection(Section):
    """One element of `relax`: after that long, these skills are enough, once the caller was told so by `prompt`."""

    after_seconds: Hour
    skills: tuple[Name, ...]
    prompt: Prompt | None = None


class QueueSection(Section):
    """`[queue.NAME]`. `Configuration.offer_seconds` says how long a phone rings where the file does not."""

    skills: tuple[Name, ...]
    offer_seconds: Ring | None = None
    wrap_up_seconds: Hour = _default(Queue, "wrap_up_seconds")
    target_seconds: Hour = _default(Queue, "target_seconds")
    target_share: Annotated[float, Field(strict=True, gt=0, le=1)] = 0.8
    relax: tuple[RelaxationSection, ...] = ()
    announcements: AnnouncementsSection | None = None
    hours: Name | None = None
    limit: Annotated[int, whole(1, 100_000)] | None = None
    maximum_wait_seconds: Patience | None = None
    overflow_queue: Name | None = None
    overflow_phone: Name | None = None
    callback: CallbackPlanSection | None = None
    closed_prompt: Prompt = "closed"
    full_prompt: Prompt = "full"
    waited_prompt: Prompt = "waited-too-long"

    @property
    def plan(self) -> CallbackPlanSection | None:
        """How call-backs are offered here; None: they are not."""
        return self.callback if self.callback and self.callback.enabled else None


class ChoiceSection(Section):
    """One of a menu's choices: what is left out stays as the line has it."""

    queue: Name | None = None
    priority_class: Name | None = Field(default=None, alias="class")
    language: Language | None = None
    greeting: Prompt | None = None


class MenuSection(Section):
    """`menu` of a line: what pressing a key changes."""

    prompt: Prompt = "menu"
    choices: Annotated[dict[Key, ChoiceSection], Field(min_length=1)]


class LineSection(Section):
    """`[line.NAME]`. `answer` and `dead_man_seconds` follow the tier unless they are given."""

    number: Number
    tier: Literal["101", "999"]
    queue: Name
    priority_class: Name = Field(default=STANDARD_CLASS, alias="class")
    answer: Answer | None = None
    greeting: Prompt | None = None
    music: Name = "default"
    dead_man_seconds: DeadMan | None = None
    language: Language = "en"
    assisted: Annotated[bool, Field(strict=True)] = False
    menu: MenuSection | None = None
    test_phone: Name | None = None

    @property
    def emergency(self) -> bool:
        """Whether callers of this line come before all others."""
        return self.tier == "999"

    @property
    def answered(self) -> Answer:
        """When its callers are answered: a 999 by a human, a 101 on arrival, unless the file says otherwise."""
        return self.answer or (Answer.BY_AGENT if self.emergency else Answer.ON_ARRIVAL)

    @property
    def renewed_within(self) -> float:
        """Seconds after which a waiting call that nobody renewed goes to the fallback (ASTERISK.md, rule 2)."""
        return self.dead_man_seconds or (3.0 if self.emergency else 15.0)

    @property
    def choices(self) -> Mapping[str, ChoiceSection]:
        """The choices of its menu by key; none without a menu."""
        return self.menu.choices if self.menu else {}


class AgentSection(Section):
    """`[agent.NUMBER]`. Without a PIN the agent can sign in by code only at the usual phone."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    skills: dict[Name, Level]
    phone: Name | None = None
    pin: Pin | None = None
    pin_file: Path | None = None
    supervisor: Annotated[bool, Field(strict=True)] = False


class PhoneSection(Section):
    """`[phone.NAME]`. A phone of kind trunk is a `number` behind `trunk`."""

    kind: PhoneKind = PhoneKind.REGISTERED
    trunk: User | None = None
    number: Number | None = None
