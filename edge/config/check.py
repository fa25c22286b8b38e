"""`edge check`: everything that can be found wrong before going live, in our file and in the switch's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.config.definitions import check_definitions
from edge.config.findings import Finding, Level
from edge.config.languages import FIRST, languages, manifest
from edge.config.load import examine
from edge.config.model import Configuration, is_loopback
from edge.config.switch_files import SwitchSection, merged, read_sections

_YES = frozenset({"yes", "true", "on", "1", "y", "t"})


def check(path: str | Path, asterisk_directory: str | Path | None = None) -> list[Finding]:
    """Findings about the configuration in `path`, definitions of figures beside it and, with its /etc/asterisk, the switch."""
    configuration, findings = examine(Path(path))
    findings.extend(check_definitions(Path(path), configuration))
    if asterisk_directory is None:
        return findings
    directory = Path(asterisk_directory)
    findings.extend(_check_settings(directory))
    findings.extend(_check_pjsip(directory))
    findings.extend(_check_globals(directory))
    if configuration:
        findings.extend(_check_generated(configuration, directory))
        findings.extend(_check_sounds(configuration, directory))
        findings.extend(_check_modules(configuration, directory))
        findings.extend(_check_record(configuration, directory))
    return findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the generated dialplan can do in this version of the switch, and by this configuration."""

    version: str
    claims_callers: bool
    """A new caller is not left to a daemon that hangs: it is noticed within 0.7 s."""
    answers_at_once: bool
    rescue: bool
    """Stranded callers can be moved by `edge rescue`."""


def capabilities(path: str | Path) -> Capabilities | None:
    """Those of the configuration in `path`; None while it has errors."""
    from dialplans.asterisk.generate import ANSWER_AT_ONCE_SINCE, claims  # the generator needs this package

    configuration, _ = examine(Path(path))
    if configuration is None:
        return None
    version = configuration.switch.version_numbers
    return Capabilities(
        version=configuration.switch.version,
        claims_callers=claims(version),
        answers_at_once=version >= ANSWER_AT_ONCE_SINCE,
        rescue=configuration.switch.rescue is not None,
    )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One setting that the design needs (ASTERISK.md, design rule 14)."""

    file: str
    section: str
    key: str
    least: int | None
    """A number at least so large; None: yes."""
    default: str
    why: str


_WANTED = (
    _Wanted("http.conf", "general", "enabled", None, "no", "the daemon steers calls over HTTP (ARI)"),
    _Wanted(
        "http.conf", "general", "sessionlimit", 500, "100", "idle connections count and lock the daemon out"
    ),
    _Wanted("ari.conf", "general", "enabled", None, "yes", "the daemon steers calls over ARI"),
    _Wanted(
        "ari.conf",
        "general",
        "websocket_write_timeout",
        1000,
        "100",
        "a daemon that is busy for a moment is cut off",
    ),
    _Wanted("manager.conf", "general", "enabled", None, "no", "the daemon needs AMI"),
    _Wanted("manager.conf", "general", "timestampevents", None, "no", "facts need the switch's own time"),
    _Wanted(
        "queues.conf", "general", "persistentmembers", None, "yes", "who is signed in must survive a restart"
    ),
)
_LOOPBACK = (("http.conf", "0.0.0.0"), ("manager.conf", "0.0.0.0"))  # noqa: S104 - Asterisk's default, refused
_WRITE_TIMEOUT_MILLISECONDS = 5000
SOUNDS = "edge"
"""Folder of our prompts below that of a language (`edge.pbx.asterisk.settings.AsteriskSettings.prompts`)."""


def _read(directory: Path, file: str) -> tuple[list[SwitchSection], list[Finding]]:
    path = directory / file
    try:
        return read_sections(path), []
    except OSError as error:
        mend = f"Create it with the line: #include edge101-{file}"
        return [], [Finding(Level.ERROR, str(path), f"cannot be read: {error.strerror}", mend)]


def _check_settings(directory: Path) -> Iterator[Finding]:
    files = {wanted.file for wanted in _WANTED}
    read = {file: _read(directory, file) for file in sorted(files)}
    for _, unreadable in read.values():
        yield from unreadable
    for wanted in _WANTED:
        sections = read[wanted.file][0]
        if sections and (found := _unmet(wanted, merged(sections, wanted.section))):
            yield Finding(
                Level.ERROR,
                _where(directory, sections, wanted),
                f"is {found}: {wanted.why}",
                _wanted_line(wanted),
            )
    for file, default in _LOOPBACK:
        sections = read[file][0]
        address = merged(sections, "general").get("bindaddr", default)
        if sections and not is_loopback(address.removeprefix("[").removesuffix("]")):
            yield Finding(
                Level.ERROR,
                f"{directory / file}: [general] bindaddr",
                f"is {address}: the switch can be steered from outside",
                "bindaddr = 127.0.0.1",
            )
    yield from _check_manager_users(read["manager.conf"][0])


def _unmet(wanted: _Wanted, settings: Mapping[str, str]) -> str | None:
    value = settings.get(wanted.key, wanted.default)
    if wanted.least is None:
        return None if value.lower() in _YES else value
    return None if value.isdigit() and int(value) >= wanted.least else value


def _wanted_line(wanted: _Wanted) -> str:
    return f"{wanted.key} = {'yes' if wanted.least is None else wanted.least}"


def _where(directory: Path, sections: list[SwitchSection], wanted: _Wanted) -> str:
    found = next(
        (section.where for section in sections if section.name == wanted.section), directory / wanted.file
    )
    return f"{found}: [{wanted.section}] {wanted.key}"


def _check_manager_users(sections: list[SwitchSection]) -> Iterator[Finding]:
    for section in sections:
        timeout = section.settings.get("writetimeout", "100")
        if "secret" in section.settings and (
            not timeout.isdigit() or int(timeout) < _WRITE_TIMEOUT_MILLISECONDS
        ):
            yield Finding(
                Level.WARNING,
                f"{section.where}: [{section.name}] writetimeout",
                f"is {timeout} ms: a client that is busy for a moment is cut off",
                f"writetimeout = {_WRITE_TIMEOUT_MILLISECONDS}",
            )


def _check_pjsip(directory: Path) -> Iterator[Finding]:
    sections, unreadable = _read(directory, "pjsip.conf")
    if unreadable:
        yield from (Finding(f.level, f.where, f.problem, _INCLUDE_PJSIP) for f in unreadable)
        return
    of_type_global = [section for section in sections if section.settings.get("type") == "global"]
    settings = of_type_global[0].settings if of_type_global else {}
    where = of_type_global[0].where if of_type_global else str(directory / "pjsip.conf")
    if len(of_type_global) > 1:
        others = ", ".join(section.where for section in of_type_global[1:])
        yield Finding(
            Level.ERROR, others, "is a second section of type global: Asterisk takes one", "Merge them."
        )
    if settings.get("taskprocessor_overload_trigger") != "pjsip_only":
        yield Finding(
            Level.ERROR,
            f"{where}: taskprocessor_overload_trigger",
            "is not pjsip_only: a stuck ARI application stops the intake of calls",
            _INCLUDE_PJSIP,
        )
    if not settings.get("endpoint_identifier_order", "ip").startswith("username"):
        yield Finding(
            Level.ERROR,
            f"{where}: endpoint_identifier_order",
            "does not begin with username: a phone behind the trunk's address is taken for the trunk",
            _INCLUDE_PJSIP,
        )


_INCLUDE_PJSIP = "Put into pjsip.conf: #include edge101-pjsip-global.conf"


def _check_globals(directory: Path) -> Iterator[Finding]:
    sections, unreadable = _read(directory, "extensions.conf")
    yield from unreadable
    if sections and "edge_config" not in merged(sections, "globals"):
        yield Finding(
            Level.ERROR,
            f"{directory / 'extensions.conf'}: [globals]",
            "does not have EDGE_CONFIG: our file is not included, or stands behind another [globals]",
            "Make #include edge101-extensions.conf the first line, and write your own as [globals](+).",
        )


def _check_generated(configuration: Configuration, directory: Path) -> Iterator[Finding]:
    from dialplans.asterisk import generate  # the generator needs this package

    for name, text in generate(configuration, configuration.switch.version_numbers).items():
        try:
            current = (directory / name).read_text(encoding="utf-8")
        except OSError as error:
            yield Finding(Level.ERROR, str(directory / name), f"cannot be read: {error.strerror}", _GENERATE)
            continue
        if current != text:
            yield Finding(
                Level.ERROR, str(directory / name), "does not belong to this configuration", _GENERATE
            )


_GENERATE = "Generate the switch's files again from this configuration and reload the switch (dialplans/asterisk/README.md)."


_CLAIMING = ("app_stasis_broadcast", "res_stasis_broadcast", "func_module")


_RECORD_MODULES = ("cel_custom", "cdr_custom", "func_cdr")
_RECORD_FILES = (
    ("cel.conf", "general", "enable"),
    ("cel_custom.conf", "mappings", "edge101.csv"),
    ("cdr.conf", "general", "enable"),
    ("cdr_custom.conf", "mappings", "edge101.csv"),
)
_RECORD_FOLDERS = ("cel-custom", "cdr-custom")
_BLIND = "what happens while the daemon is away is not known afterwards"


def _check_record(configuration: Configuration, directory: Path) -> Iterator[Finding]:
    """The switch writes down by itself what becomes of calls. Calls are served without it, so it is never more than a warning."""
    if not configuration.switch.keeps_record:
        return
    for name, section, key in _RECORD_FILES:
        path = directory / name
        try:
            value = merged(read_sections(path), section).get(key, "")
        except OSError:
            value = ""
        if not value or (key == "enable" and value.lower() not in _YES):
            mend = f"Make #include edge101-{name} its first line."
            yield Finding(Level.WARNING, f"{path}: [{section}] {key}", f"is not ours: {_BLIND}", mend)
    yield from _unloaded(directory / "modules.conf", _RECORD_MODULES, _BLIND)
    logs = Path(configuration.switch.log_directory)
    for folder in _RECORD_FOLDERS:
        if logs.is_dir() and not (logs / folder).is_dir():
            mend = f"mkdir {logs / folder}, owned by Asterisk's user: Asterisk does not make it by itself."
            yield Finding(Level.WARNING, str(logs / folder), f"is not there: {_BLIND}", mend)


def _check_modules(configuration: Configuration, directory: Path) -> Iterator[Finding]:
    """What the dialplan of this version asks for is loaded; without it only the dead-man notices a daemon that hangs."""
    from dialplans.asterisk.generate import claims

    if claims(configuration.switch.version_numbers):
        why = "only the dead-man takes callers from a daemon that hangs"
        yield from _unloaded(directory / "modules.conf", _CLAIMING, why)


def _unloaded(file: Path, modules: tuple[str, ...], why: str) -> Iterator[Finding]:
    """Those of these modules that modules.conf does not have loaded; nothing where there is no such file."""
    if not file.is_file():
        return
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    settings = [re.match(r"\s*(\w+)\s*=>?\s*([\w.]+)", line) for line in lines]
    said = {(found[1].lower(), found[2].lower().removesuffix(".so")) for found in settings if found}
    by_itself = any(("autoload", yes) in said for yes in _YES)
    for module in modules:
        if ("noload", module) in said or not (by_itself or ("load", module) in said):
            yield Finding(
                Level.WARNING,
                f"{file}: {module}",
                f"is not loaded: {why}",
                f"load = {module}.so",
            )


def _check_sounds(configuration: Configuration, directory: Path) -> Iterator[Finding]:
    """Every prompt is there to be played in every language of the lines, where asterisk.conf says in which folder."""
    sounds = _sounds(directory)
    if sounds is None:
        return
    for language in (FIRST, *languages(configuration)):
        folders = [sounds / language / SOUNDS, *([sounds / SOUNDS] if language == FIRST else [])]
        there = {file.stem for folder in folders if folder.is_dir() for file in folder.iterdir()}
        if missing := sorted({*manifest(), *configuration.prompts} - there):
            yield Finding(
                Level.ERROR,
                str(folders[0]),
                f'has no sound in "{language}" for these prompts: {", ".join(missing)}',
                "Put recordings of these names there, or make placeholders (dialplans/asterisk/README.md).",
            )


def _sounds(directory: Path) -> Path | None:
    """The folder of Asterisk's sounds; None where its own files do not tell."""
    try:
        sections = read_sections(directory / "asterisk.conf")
    except OSError:
        return None
    folder = merged([section for section in sections if not section.template], "directories").get(
        "astdatadir"
    )
    return Path(folder, "sounds") if folder else None
