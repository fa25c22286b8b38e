"""The profile of an appliance: a TOML file that says where it is, which numbers may be called, and what is expected of it.

A control interface listens on the appliance's loopback alone, so a remote one is reached through a tunnel:
`ssh -N -L 5038:127.0.0.1:5038 APPLIANCE`, and `[ami] host = "127.0.0.1"`.
"""

from __future__ import annotations

import ipaddress
import re
import stat
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edge.config.position import KeyPath, Positions
from edge.config.reading import Reading
from hwtest.addresses import on_the_way_to
from hwtest.interlock import digits_of, fault_of_test_number
from hwtest.lab.contract import Address, Login, Mi
from hwtest.probes.registry import all_probes
from hwtest.target import CALLS_PER_MINUTE, Calls, Daemon, Kind, Line, Phone, Target, TargetError

SIP_PORT = 5060
_OTHERS_READ = stat.S_IROTH | stat.S_IRGRP
_PASSWORD = re.compile(r"//[^/@]*:[^/@]+@")


def _address(text: str) -> str:
    host, _, port = text.partition(":")
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        raise ValueError('must be an IPv4 address, perhaps with a port, such as "10.1.2.3:5060"') from None
    if port and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError("must have a port from 1 to 65535, such as :5060")
    return text


def _host(text: str) -> str:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        raise ValueError('must be an IPv4 address, such as "10.1.2.3"') from None
    return text


def _number(text: str) -> str:
    if digits_of(text) is None:
        raise ValueError(
            "must be a plain number: digits, perhaps with a leading + and spaces or hyphens between"
        )
    return text


def _url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/@]+/?", text):
        raise ValueError('must be an address without a path, such as "https://10.1.2.3:28090"')
    return text.rstrip("/")


def _ledger(text: str) -> str:
    if not text.startswith(("sqlite:", "postgresql")):
        raise ValueError(
            'must be as in edge101.toml: "sqlite:////path/ledger.sqlite" or "postgresql+psycopg://..."'
        )
    return text


AddressText = Annotated[str, AfterValidator(_address)]
HostText = Annotated[str, AfterValidator(_host)]
NumberText = Annotated[str, AfterValidator(_number)]
Port = Annotated[int, Field(ge=1, le=65535)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TargetTable(_Table):
    """What it is."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    kind: Annotated[Kind, Field(strict=False)]
    sip: AddressText
    local_address: HostText | None = None
    """Ours on the way to it; by default the one from which this machine's routes lead there."""
    caller: NumberText
    """The number that test calls come from."""
    phone: str | None = None
    """Place test calls as this phone, where the switch takes none from strangers."""


class CallsTable(_Table):
    """How it is spared."""

    per_minute: Annotated[int, Field(ge=1, le=CALLS_PER_MINUTE)] = CALLS_PER_MINUTE
    other_calls_at_most: Annotated[int, Field(ge=0, le=1000)] = 0
    unseen: bool = False


class LineTable(_Table):
    """A test number."""

    number: NumberText
    phone: str | None = None
    looks_like_emergency: bool = False


class PhoneTable(_Table):
    """A phone that hwtest may be."""

    user: Annotated[str, Field(min_length=1)]
    password_file: str
    registrar: AddressText | None = None
    """The switch, if it is not given."""


class TrunkTable(_Table):
    """Another party that must speak SIP."""

    sip: AddressText


class LoginTable(_Table):
    """A control interface."""

    host: HostText = "127.0.0.1"
    port: Port
    user: Annotated[str, Field(min_length=1)]
    password_file: str


class MiTable(_Table):
    """The daemon's pull API."""

    url: Annotated[str, AfterValidator(_url)]
    token_file: str


class RecordTable(_Table):
    """The daemon's ledger, where this machine can read it."""

    ledger: Annotated[str, AfterValidator(_ledger)]


class LimitsTable(_Table):
    """What is expected of one figure here."""

    passes: Annotated[float, Field(strict=False, allow_inf_nan=False)]
    warns: Annotated[float, Field(strict=False, allow_inf_nan=False)]


class DaemonTable(_Table):
    """The daemon that serves the switch, by its names there; leave it out where none does."""

    app: Annotated[str, Field(min_length=1)] = "edge101"
    user: Annotated[str, Field(min_length=1)] = "edge101"


class ProfileFile(_Table):
    """The file."""

    target: TargetTable
    calls: CallsTable = CallsTable()
    line: dict[str, LineTable] = {}
    phone: dict[str, PhoneTable] = {}
    trunk: dict[str, TrunkTable] = {}
    ami: LoginTable | None = None
    ari: LoginTable | None = None
    mi: MiTable | None = None
    record: RecordTable | None = None
    daemon: DaemonTable | None = None
    thresholds: dict[str, dict[str, LimitsTable]] = {}


def read_profile(file: Path) -> Target:
    """The appliance that the file describes. Raises TargetError with everything that is wrong, one line each."""
    try:
        text = file.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise TargetError(
            f"{file}: cannot be read: {error.strerror}. Name the file, or let this user read it."
        ) from None
    except UnicodeDecodeError:
        raise TargetError(f"{file}: is not UTF-8 text. Save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise TargetError(f"{file}: is not TOML: {error}. Mend the syntax at that place.") from None
    reading = _ProfileReading(file, Positions(text), ProfileFile)
    profile = reading.validate(document)
    target = reading.target(profile) if profile is not None else None
    if target is None or reading.findings:
        raise TargetError("\n".join(map(str, reading.findings)))
    return target


class _ProfileReading(Reading[ProfileFile]):
    """The reading of one profile and of the files that it names."""

    def target(self, profile: ProfileFile) -> Target:
        """What it describes; `findings` says whether it may be used."""
        self._check_lines(profile)
        self._check_thresholds(profile)
        self._check_record(profile)
        return Target(
            name=profile.target.name,
            kind=profile.target.kind,
            source=self.path,
            sip=_split(profile.target.sip),
            local_address=profile.target.local_address or on_the_way_to(_split(profile.target.sip).host),
            caller=profile.target.caller,
            caller_phone=profile.target.phone,
            lines={
                name: Line(
                    number=line.number, phone=line.phone, looks_like_emergency=line.looks_like_emergency
                )
                for name, line in profile.line.items()
            },
            phones={name: self._phone(name, phone, profile) for name, phone in profile.phone.items()},
            trunks={name: _split(trunk.sip) for name, trunk in profile.trunk.items()},
            ami=self._login("ami", profile.ami),
            ari=self._login("ari", profile.ari),
            mi=self._mi(profile.mi),
            ledger=profile.record.ledger if profile.record else None,
            daemon=Daemon(**profile.daemon.model_dump()) if profile.daemon else None,
            calls=Calls(**profile.calls.model_dump()),
            thresholds={
                probe: {figure: (limits.passes, limits.warns) for figure, limits in figures.items()}
                for probe, figures in profile.thresholds.items()
            },
        )

    def _check_lines(self, profile: ProfileFile) -> None:
        caller = profile.target.phone
        if caller is not None and caller not in profile.phone:
            self.add(("target", "phone"), f"there is no phone {caller!r}", f"Give [phone.{caller}].")
        for name, line in profile.line.items():
            if line.phone is not None and line.phone not in profile.phone:
                self.add(
                    ("line", name, "phone"),
                    f"there is no phone {line.phone!r}",
                    f"Give [phone.{line.phone}].",
                )
            elif caller is not None and line.phone is not None and self._same(profile, caller, line.phone):
                self.add(
                    ("line", name, "phone"),
                    f"{line.phone!r} is the phone that test calls are placed as, which would be busy",
                    "Let the line ring another phone, or give target.phone another.",
                )
            if profile.target.kind is Kind.LIVE and (
                fault := fault_of_test_number(line.number, looks_like_emergency=line.looks_like_emergency)
            ):
                self.add(
                    ("line", name, "number"), fault, "Only a number that rings a test phone belongs here."
                )

    @staticmethod
    def _same(profile: ProfileFile, one: str, other: str) -> bool:
        """Whether two names are of one phone: the same name, or the same account."""
        first, second = profile.phone.get(one), profile.phone.get(other)
        return one == other or (first is not None and second is not None and first.user == second.user)

    def _check_thresholds(self, profile: ProfileFile) -> None:
        probes = {probe.name: probe for probe in all_probes()}
        for name, figures in profile.thresholds.items():
            if name not in probes:
                self.add(("thresholds", name), "there is no such probe", "`hwtest list` shows them.")
                continue
            for figure, limits in figures.items():
                threshold = probes[name].threshold(figure)
                if threshold is None:
                    known = ", ".join(known.figure for known in probes[name].thresholds)
                    self.add(
                        ("thresholds", name, figure), "nothing is expected of it", f"Known here: {known}."
                    )
                elif (
                    limits.passes > limits.warns
                ) is not threshold.at_least and limits.passes != limits.warns:
                    order = "at least" if threshold.at_least else "at most"
                    self.add(
                        ("thresholds", name, figure),
                        "passes and warns are the wrong way round",
                        f"passes is {order} warns there.",
                    )

    def _check_record(self, profile: ProfileFile) -> None:
        """A ledger's address may have a password in it, which then stands in this file."""
        if profile.record is None or not _PASSWORD.search(profile.record.ledger):
            return
        if self.path.stat().st_mode & _OTHERS_READ:
            self.add(
                ("record", "ledger"),
                "has a password, and others on this machine can read this file",
                f"chmod 600 {self.path}",
            )

    def _phone(self, name: str, phone: PhoneTable, profile: ProfileFile) -> Phone:
        registrar = _split(phone.registrar or profile.target.sip)
        return Phone(
            user=phone.user,
            password=self._secret(("phone", name, "password_file"), phone.password_file),
            registrar=f"{registrar.host}:{registrar.port}",
        )

    def _login(self, table: str, login: LoginTable | None) -> Login | None:
        if login is None:
            return None
        password = self._secret((table, "password_file"), login.password_file)
        return Login(host=login.host, port=login.port, user=login.user, password=password)

    def _mi(self, mi: MiTable | None) -> Mi:
        return Mi() if mi is None else Mi(url=mi.url, token=self._secret(("mi", "token_file"), mi.token_file))

    def _secret(self, key: KeyPath, name: str) -> str:
        """The first line of a file, which nobody else may read."""
        file = self.path.parent / name
        try:
            secret = file.read_text(encoding="utf-8").partition("\n")[0].strip()
            readable = file.stat().st_mode & _OTHERS_READ
        except (OSError, UnicodeDecodeError) as error:
            told = error.strerror if isinstance(error, OSError) else "it is no text"
            self.add(
                key, f"{file} cannot be read: {told}", "Put the secret into that file, alone on its line."
            )
            return ""
        if not secret:
            self.add(key, f"{file} is empty", "Put the secret into it, alone on its line.")
        if readable:
            self.add(key, f"others on this machine can read {file}", f"chmod 600 {file}")
        return secret


def _split(text: str) -> Address:
    host, _, port = text.partition(":")
    return Address(host=host, port=int(port or SIP_PORT))
