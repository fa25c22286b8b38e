"""The whole configuration, and what the engine and the switch's adapter are given of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from zoneinfo import ZoneInfo

from pydantic import Field, PrivateAttr

from edge.config.fields import AgentNumber, Name, is_loopback
from edge.config.findings import Finding
from edge.config.hours import this_year
from edge.config.sections import (
    EMERGENCY_OFFER_SECONDS,
    OFFER_SECONDS,
    AgentSection,
    AnnouncementsSection,
    AssistedSection,
    CallbackPlanSection,
    CallbackSection,
    CapacitySection,
    ClassSection,
    CodesSection,
    DaemonSection,
    EmergencySection,
    HoursSection,
    IncidentSection,
    LedgerSection,
    LineSection,
    LogSection,
    MenuSection,
    MiSection,
    MissedOffersSection,
    NotReadySection,
    NumberListSection,
    PhoneSection,
    QueueSection,
    RepeatSection,
    RetentionSection,
    Section,
    ShipSection,
    SiteSection,
    SwitchSection,
    TasksSection,
    TimingSection,
    TriageSection,
    WrapUpSection,
)
from edge.core.model import (
    STANDARD_CLASS,
    Agent,
    Announcements,
    Choice,
    Emergency,
    Line,
    MajorIncident,
    Menu,
    OpeningHours,
    Phone,
    Policy,
    PriorityClass,
    Queue,
    Relaxation,
    Repeat,
    Tier,
)
from edge.core.promise import CALLBACK_PROMPTS, TASK_PROMPTS, Callbacks, Destinations, Plan, Tasks
from edge.destinations import SiteDestinations
from edge.pbx.asterisk.settings import AsteriskSettings

__all__ = [
    "STANDARD_CLASS",
    "AgentSection",
    "Configuration",
    "LedgerSection",
    "LineSection",
    "PhoneSection",
    "QueueSection",
    "Section",
    "TimingSection",
    "is_loopback",
]


CALLBACK_GREETING = "callback-returned"
"""For the line whose number is shown: says nothing of who called."""


class Configuration(Section):
    """A configuration without errors."""

    site: SiteSection
    switch: SwitchSection
    ledger: LedgerSection = LedgerSection()
    ship: ShipSection | None = None
    retention: RetentionSection = RetentionSection()
    log: LogSection = LogSection()
    daemon: DaemonSection = DaemonSection()
    mi: MiSection = MiSection()
    timing: TimingSection = TimingSection()
    emergency: EmergencySection = EmergencySection()
    capacity: CapacitySection = CapacitySection()
    repeat: RepeatSection | None = None
    number_list: NumberListSection = NumberListSection()
    hours: dict[Name, HoursSection] = Field(default_factory=dict)
    incident: IncidentSection = IncidentSection()
    assisted: AssistedSection = AssistedSection()
    missed_offers: MissedOffersSection = MissedOffersSection()
    callback: CallbackSection | None = None
    tasks: TasksSection = TasksSection()
    codes: CodesSection = CodesSection()
    not_ready: NotReadySection = NotReadySection()
    wrap_up: WrapUpSection = WrapUpSection()
    triage: TriageSection = TriageSection()
    classes: dict[Name, ClassSection] = Field(default_factory=dict, alias="class")
    queues: dict[Name, QueueSection] = Field(alias="queue", min_length=1)
    lines: dict[Name, LineSection] = Field(alias="line", min_length=1)
    agents: dict[AgentNumber, AgentSection] = Field(default_factory=dict, alias="agent")
    phones: dict[Name, PhoneSection] = Field(default_factory=dict, alias="phone")

    _digest: str = PrivateAttr(default="")
    _warnings: tuple[Finding, ...] = PrivateAttr(default=())
    _year: int = PrivateAttr(default_factory=this_year)

    def with_origin(
        self, digest: str, warnings: tuple[Finding, ...], year: int | None = None
    ) -> Configuration:
        """The same, knowing its digest, what is doubtful in it and the year around which its opening hours are worked out."""
        known = self.model_copy()
        known._digest, known._warnings = digest, warnings
        known._year = this_year() if year is None else year
        return known

    @property
    def digest(self) -> str:
        """SHA-256 of the file's content; comments and layout do not count."""
        return self._digest

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What is doubtful and does not prevent a start."""
        return self._warnings

    @property
    def emergency_queue(self) -> str | None:
        """Where an upgraded 101 waits: the named queue, else that of the first 999 line; None without either."""
        first = (line.queue for line in self.lines.values() if line.emergency and line.test_phone is None)
        return self.emergency.queue or next(first, None)

    @property
    def queues_of_emergencies(self) -> frozenset[str]:
        """Names of the queues that 999 lines feed: nothing stands in front of them."""
        return frozenset(line.queue for line in self.lines.values() if line.emergency)

    @property
    def languages(self) -> frozenset[str]:
        """Every language that a caller may be spoken to in, by line or choice of a menu; the number list may name others."""
        return frozenset(
            language
            for line in self.lines.values()
            for language in (line.language, *(choice.language for choice in line.choices.values()))
            if language is not None
        )

    @property
    def class_names(self) -> frozenset[str]:
        """Every class that a call may have."""
        return frozenset({STANDARD_CLASS, *self.classes})

    def head_start_seconds(self, priority_class: str) -> float:
        """Head start of a class, in seconds."""
        section = self.classes.get(priority_class)
        return section.head_start_seconds if section else 0.0

    def offer_seconds(self, queue: str) -> float:
        """How long one agent's phone rings for a call of this queue."""
        given = self.queues[queue].offer_seconds
        if given is not None:
            return given
        return EMERGENCY_OFFER_SECONDS if queue in self.queues_of_emergencies else OFFER_SECONDS

    def opening_hours(self, name: str) -> OpeningHours:
        """The hours of that name as instants, around the year in which the configuration was read."""
        return self.hours[name].timetable.opening_hours(name, ZoneInfo(self.site.timezone), self._year)

    @property
    def own_numbers(self) -> frozenset[str]:
        """Numbers that come back to us, as written: of lines, agents, phones behind a trunk, and the one that is shown."""
        shown = {self.callback.show_number} if self.callback else set[str]()
        lines = {line.number for line in self.lines.values()}
        phones = {phone.number for phone in self.phones.values() if phone.number is not None}
        return frozenset(shown | lines | phones | self.agents.keys())

    def destinations(self) -> Destinations:
        """Which numbers are dialled for a call-back; without call-backs none, but each is known by itself."""
        if self.callback is None:
            return SiteDestinations(allow=(), own=self.own_numbers)
        return SiteDestinations(
            allow=self.callback.allow,
            deny=self.callback.deny,
            own=self.own_numbers,
            crown_dependencies=self.callback.crown_dependencies,
            dial_format=self.callback.dial_format,
        )

    def policy(self) -> Policy:
        """What the engine needs of all this."""
        used = {queue.hours for queue in self.queues.values() if queue.hours}
        used |= {queue.plan.hours for queue in self.queues.values() if queue.plan and queue.plan.hours}
        hours = {name: self.opening_hours(name) for name in sorted(used)}
        return Policy(
            lines={name: _line(name, section) for name, section in self.lines.items()},
            queues={name: self._queue(name, section, hours) for name, section in self.queues.items()},
            classes={name: self._class(name) for name in sorted(self.class_names)},
            agents={number: _agent(number, section) for number, section in self.agents.items()},
            phones={
                name: Phone(name=name, kind=section.kind, trunk=section.trunk, number=section.number)
                for name, section in self.phones.items()
            },
            emergency=self._emergency(),
            repeat=_repeat(self.repeat),
            incident=MajorIncident(**self.incident.model_dump()),
            largest_boost_seconds=self.number_list.largest_boost_seconds,
            assisted_offer_seconds=self.assisted.offer_seconds,
            missed_offers_maximum=self.missed_offers.maximum or None,
            missed_reason=self.missed_offers.reason,
            callbacks=_callbacks(self.callback),
            destinations=self.destinations(),
            tasks=_tasks(self.tasks),
            digest=self.digest,
            **self.timing.model_dump(),
        )

    def _queue(self, name: str, section: QueueSection, hours: Mapping[str, OpeningHours]) -> Queue:
        return Queue(
            name=name,
            skills=section.skills,
            relaxations=tuple(Relaxation(**relaxation.model_dump()) for relaxation in section.relax),
            offer_seconds=self.offer_seconds(name),
            wrap_up_seconds=section.wrap_up_seconds,
            target_seconds=section.target_seconds,
            target_share=section.target_share,
            announcements=_announcements(section.announcements),
            hours=hours[section.hours] if section.hours else None,
            limit=section.limit,
            maximum_wait_seconds=section.maximum_wait_seconds,
            overflow_queue=section.overflow_queue,
            overflow_phone=section.overflow_phone,
            callback=_plan(section.plan) if self.callback else None,
            callback_hours=hours[section.plan.hours] if section.plan and section.plan.hours else None,
            closed_prompt=section.closed_prompt,
            full_prompt=section.full_prompt,
            waited_prompt=section.waited_prompt,
        )

    def _class(self, name: str) -> PriorityClass:
        section = self.classes.get(name, ClassSection())
        return PriorityClass(
            name=name,
            head_start_seconds=section.head_start_seconds,
            announcements=_announcements(section.announcements),
        )

    def _emergency(self) -> Emergency:
        given = self.emergency
        return Emergency(
            queue=self.emergency_queue,
            key=given.key or None,
            keep_free=given.keep_free,
            break_wrap_up=given.break_wrap_up,
            all_agents_after_seconds=given.all_agents_after_seconds or None,
            supervisors_after_seconds=given.supervisors_after_seconds or None,
            buddy_after_seconds=given.buddy_after_seconds or None,
            buddy_phone=given.buddy_phone,
        )

    @property
    def prompts(self) -> frozenset[str]:
        """Ids of the prompts that callers, and handlers who answer for a task, may hear by this file, those that stand by
        default too."""
        return frozenset(self._prompts()) - {""}

    def _prompts(self) -> Iterator[str]:
        yield from (self.incident.closed_prompt, self.incident.greeting or "")
        for line in self.lines.values():
            yield line.greeting or ""
            yield line.menu.prompt if line.menu else ""
            yield from (choice.greeting or "" for choice in line.choices.values())
        for queue in self.queues.values():
            yield from (queue.closed_prompt, queue.full_prompt, queue.waited_prompt)
            yield from (relaxation.prompt or "" for relaxation in queue.relax)
            yield queue.announcements.prompt if queue.announcements else ""
        for section in self.classes.values():
            yield section.announcements.prompt if section.announcements else ""
        if any(queue.plan for queue in self.queues.values()):
            yield from CALLBACK_PROMPTS
        yield from TASK_PROMPTS

    def asterisk_settings(self) -> AsteriskSettings:
        """What the adapter of the switch needs of all this."""
        ari, ami = self.switch.ari, self.switch.ami
        return AsteriskSettings(
            ari_url=ari.url,
            ari_user=ari.user,
            ari_password=ari.password.get_secret_value(),
            ami_host=ami.host,
            ami_port=ami.port,
            ami_user=ami.user,
            ami_password=ami.password.get_secret_value(),
            app=self.switch.app,
            log_directory=self.switch.log_directory if self.switch.keeps_record else None,
            alert_info=self.emergency.alert_info,
        )


def _line(name: str, section: LineSection) -> Line:
    return Line(
        name=name,
        number=section.number,
        queue=section.queue,
        tier=Tier.EMERGENCY if section.emergency else Tier.ROUTINE,
        priority_class=section.priority_class,
        answer=section.answered,
        greeting=section.greeting,
        music=section.music,
        dead_man_seconds=section.renewed_within,
        language=section.language,
        assisted=section.assisted,
        menu=_menu(section.menu),
        test_phone=section.test_phone,
    )


def _menu(section: MenuSection | None) -> Menu | None:
    if section is None:
        return None
    choices = {key: Choice(**choice.model_dump()) for key, choice in section.choices.items()}
    return Menu(prompt=section.prompt, choices=choices)


def _announcements(section: AnnouncementsSection | None) -> Announcements | None:
    if section is None:
        return None
    return Announcements(
        every_seconds=section.every_seconds,
        prompt=section.prompt or None,
        position=section.position,
        expected_wait=section.expected_wait,
    )


def _repeat(section: RepeatSection | None) -> Repeat | None:
    return None if section is None else Repeat(**section.model_dump())


def _callbacks(section: CallbackSection | None) -> Callbacks:
    if section is None:
        return Callbacks()
    given = section.model_dump(exclude={"dial_format", "allow", "deny", "crown_dependencies", "channels"})
    return Callbacks(**given, channels=section.channels or None)


def _plan(section: CallbackPlanSection | None) -> Plan | None:
    return None if section is None else Plan(**section.model_dump(exclude={"enabled", "hours"}))


def _tasks(section: TasksSection) -> Tasks:
    return Tasks(
        abandoned_101_after_seconds=section.abandoned_101_after_seconds or None,
        alarm_999_seconds=section.alarm_999_seconds,
        alarm_101_seconds=section.alarm_101_seconds,
        offered=section.offered,
        again_seconds=section.again_seconds,
        offer_seconds=section.offer_seconds,
        choose_seconds=section.choose_seconds,
        dial_seconds=section.dial_seconds,
    )


def _agent(number: str, section: AgentSection) -> Agent:
    skills: Mapping[str, int] = dict(section.skills)
    return Agent(
        number=number, name=section.name, skills=skills, phone=section.phone, supervisor=section.supervisor
    )
