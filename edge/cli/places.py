"""Where the configuration and the ledger are, and the few values of the configuration that looking needs.

Commands that look do not validate the configuration: they must work while somebody is mending it, and start quickly.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.core.model import STANDARD_CLASS
from edge.errors import PermanentError
from edge.metrics import DEFINITIONS_FILE
from edge.ports import LedgerError

if TYPE_CHECKING:
    from edge.config import Configuration
    from edge.config.sections import RetentionSection
    from edge.ledger.store import SqlReader

CONFIGURATION_VARIABLE = "EDGE101_CONFIG"
CONFIGURATION_FILES = ("/etc/edge101/edge101.toml", "edge101.toml")
DEFAULT_LEDGER_URL = "sqlite:////var/lib/edge101/ledger.sqlite"
"""As in `edge.config.model.LedgerSection`, which takes too long to import for a look; a test holds them together."""
DEFAULT_TIMEZONE = "Europe/London"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
LEDGER_META = "edge101.ledger"


def find_configuration(named: str | None) -> str:
    """The file named on the command line or in the environment, else the first of the usual ones that is there."""
    if chosen := named or os.environ.get(CONFIGURATION_VARIABLE):
        return chosen
    return next((file for file in CONFIGURATION_FILES if Path(file).exists()), CONFIGURATION_FILES[0])


@dataclass(frozen=True, slots=True)
class Site:
    """The few values of the configuration that looking needs."""

    ledger_url: str
    targets: dict[str, float] = field(default_factory=dict)
    """Queue -> target seconds."""
    agents: dict[str, str] = field(default_factory=dict)
    """Number -> name."""
    emergency: frozenset[str] = frozenset()
    """Queues of 999 lines."""
    classes: frozenset[str] = frozenset({STANDARD_CLASS})
    number_list: Path | None = None
    incident_greeting: str | None = None
    incident_queues: tuple[str, ...] = ()
    """Queues that are closed while a major incident is declared."""
    mi_directory: Path | None = None
    name: str = "Edge101"
    """The site's, for people."""
    timezone: str = DEFAULT_TIMEZONE
    definitions: Path | None = None
    """The force's own definitions of metrics, beside the configuration."""
    is_other: bool = False
    """The ledger was named on the command line and is not the configuration's, such as a copy."""


def site() -> Site:
    """From the context of the command. Raises `PermanentError` when there is neither a configuration nor --ledger."""
    ctx = click.get_current_context()
    ledger_url: str | None = ctx.find_root().meta.get(LEDGER_META)
    path: str = ctx.find_root().obj
    if ledger_url is not None and not Path(path).exists():
        return Site(ledger_url, is_other=True)
    document = _document(path)
    own_url = _text(_table(document, "ledger").get("url")) or DEFAULT_LEDGER_URL
    lines = [table for _, table in _tables(document, "line")]
    number_list, incident = _text(_table(document, "number_list").get("file")), _table(document, "incident")
    closed = incident.get("closed_queues")
    return Site(
        ledger_url or own_url,
        {name: _target_seconds(queue) for name, queue in _tables(document, "queue")},
        {number: _text(agent.get("name")) for number, agent in _tables(document, "agent")},
        frozenset(_text(line.get("queue")) for line in lines if line.get("tier") == "999"),
        frozenset({STANDARD_CLASS, *_table(document, "class")}),
        Path(path).parent / number_list if number_list else None,
        _text(incident.get("greeting")) or None,
        tuple(map(_text, closed)) if isinstance(closed, list) else (),
        Path(path).parent / mi_directory
        if (mi_directory := _text(_table(document, "mi").get("directory")))
        else None,
        name=_text(_table(document, "site").get("name")) or "Edge101",
        timezone=_text(_table(document, "site").get("timezone")) or DEFAULT_TIMEZONE,
        definitions=own if (own := Path(path).parent / DEFINITIONS_FILE).exists() else None,
        is_other=ledger_url not in (None, own_url),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueSite:
    """What `edge rescue` needs of the configuration."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    app: str
    dead_men: dict[str, float]
    """Line -> seconds."""
    ledger_url: str


def rescue_site() -> RescueSite:
    """From the context of the command, without validating the rest: it must run when a slip keeps the daemon from starting.

    Raises `PermanentError` when there is no configuration or no account.
    """
    path: str = click.get_current_context().find_root().obj
    document = _document(path)
    switch = _table(document, "switch")
    ami, rescue = _table(switch, "ami"), _table(switch, "rescue")
    file = _text(rescue.get("password_file"))
    if not file:
        raise PermanentError(
            f'{path}: [switch.rescue] is missing, or its password_file. Add: [switch.rescue] password_file = "rescue.password",'
            " then edge dialplan --out and manager reload."
        )
    host, port = _text(ami.get("host")) or "127.0.0.1", ami.get("port", 5038)
    if host not in LOOPBACK or not isinstance(port, int):
        raise PermanentError(
            f"{path}: [switch.ami] host and port must be this machine's, as the daemon has them."
        )
    return RescueSite(
        host=host,
        port=port,
        user=_text(rescue.get("user")) or "edge101-rescue",
        password=_secret(Path(path), file),
        app=_text(switch.get("app")) or "edge101",
        dead_men={name: _dead_man(line) for name, line in _tables(document, "line")},
        ledger_url=_text(_table(document, "ledger").get("url")) or DEFAULT_LEDGER_URL,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipSite:
    """What `edge ship` needs of the configuration."""

    ledger_url: str
    to: str
    name: str
    password: str | None = field(repr=False)
    configured: bool
    """`to` is the configuration's: what retention relies on, and nowhere else."""
    log_level: str
    log_format: str


def ship_site(to: str | None, name: str | None) -> ShipSite:
    """From the command line, else from the configuration, which is not validated: a slip in it must not hold the record up.

    Raises `PermanentError` where it is not said where to ship to, or under which name.
    """
    ledger_url, path = site().ledger_url, click.get_current_context().find_root().obj
    document = _document(path) if Path(path).exists() else {}
    ship, file = _table(document, "ship"), _text(_table(document, "ship").get("password_file"))
    url = to or _text(ship.get("to"))
    named = name or _text(ship.get("name")) or _text(_table(document, "site").get("name"))
    if not url or not named:
        missing = ("--to URL", "to") if not url else ("--name NAME", "name")
        raise PermanentError(f"{path}: give {missing[0]}, or [ship] {missing[1]} in the configuration.")
    level, form = _text(_table(document, "log").get("level")), _text(_table(document, "log").get("format"))
    return ShipSite(
        ledger_url=ledger_url,
        to=url,
        name=named,
        password=_secret(Path(path), file) if file and to is None else None,
        configured=url == _text(ship.get("to")),
        log_level=level if level in ("debug", "info", "warning", "error") else "info",
        log_format=form if form in ("json", "console") else "json",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSite:
    """What `edge ledger retain` needs of the configuration."""

    rules: RetentionSection
    shipped: bool
    """There is a [ship]: the shared database must have what is erased."""
    emergency_lines: frozenset[str]


def retention_site() -> RetentionSite:
    """Without the rest of the configuration, whose secrets may be for root and the daemon alone. Raises `PermanentError`."""
    from pydantic import ValidationError

    from edge.config.sections import RetentionSection

    path: str = click.get_current_context().find_root().obj
    document = _document(path)
    try:
        rules = RetentionSection.model_validate(_table(document, "retention"))
    except ValidationError as error:
        found = error.errors()[0]
        key = ".".join(map(str, ("retention", *found["loc"])))
        raise PermanentError(f"{path}: {key}: {found['msg']}") from error
    lines = (name for name, line in _tables(document, "line") if line.get("tier") == "999")
    return RetentionSite(rules=rules, shipped="ship" in document, emergency_lines=frozenset(lines))


def _secret(path: Path, name: str) -> str:
    """As the configuration's reading finds it: systemd's credential of that name if there is one, else beside the file."""
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    credential = Path(credentials, name) if credentials else None
    file = credential if credential is not None and credential.is_file() else path.parent / name
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "is not ASCII text"
        raise PermanentError(
            f"{path}: password_file: {file} cannot be used: {problem}."
            " Write the secret alone into it: (umask 077; openssl rand -hex 24 > FILE)."
        ) from error


def _dead_man(line: dict[str, Any]) -> float:
    value = line.get("dead_man_seconds")
    if isinstance(value, int | float) and value > 0:
        return float(value)
    return 3.0 if line.get("tier") == "999" else 15.0


def _document(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise PermanentError(
            f"{path}: cannot be read: {error.strerror}. Name the configuration with --config FILE or in "
            f"{CONFIGURATION_VARIABLE}, or a ledger with --ledger URL."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PermanentError(f"{path}: is not TOML: {error}. Mend the syntax at that place.") from error


def _table(document: dict[str, Any], name: str) -> dict[str, Any]:
    table = document.get(name)
    return table if isinstance(table, dict) else {}


def _tables(document: dict[str, Any], name: str) -> list[tuple[str, dict[str, Any]]]:
    tables = _table(document, name)
    return [(key, _table(tables, key)) for key in tables]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _target_seconds(queue: dict[str, Any]) -> float:
    from edge.views.queues import DEFAULT_TARGET_SECONDS

    value = queue.get("target_seconds")
    return float(value) if isinstance(value, int | float) else DEFAULT_TARGET_SECONDS


def say_if_synthetic(reader: SqlReader) -> None:
    """On the standard error stream, whatever the command prints: nobody is to take made-up calls for real ones."""
    if reader.synthetic:
        click.secho(
            "edge: SYNTHETIC: everything in this ledger was made up", fg="yellow", bold=True, err=True
        )


@contextmanager
def reading(ledger_url: str) -> Iterator[SqlReader]:
    """The ledger, to be read only. Raises `LedgerError`, also for facts that cannot follow each other."""
    from edge.core.transitions import IllegalFactError
    from edge.ledger.store import open_reader

    reader = open_reader(ledger_url)
    say_if_synthetic(reader)
    try:
        yield reader
    except IllegalFactError as error:
        raise LedgerError(f"the ledger cannot be folded: {error}; run `edge ledger verify`") from error
    finally:
        reader.close()


def configuration() -> Configuration:
    """The whole configuration, validated. Raises `edge.config.ConfigurationError`."""
    from edge.config import load

    return load(click.get_current_context().find_root().obj)
