"""The force's list of known numbers: who is vulnerable, calls again and again, comes through a relay, ...

A TOML file of its own, one `[[number]]` per entry. Every entry ends on a date, every change is audited, and no message has
a number in it. A number is not an identity: what is listed is a hint for the handler and a capped head start, nothing more.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import re
import tempfile
import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field

from edge.config.fields import Language, Name
from edge.config.findings import ConfigurationError, Finding, Level
from edge.config.position import Positions
from edge.config.reading import Reading
from edge.config.sections import Section
from edge.numbering import REGION, e164, possible
from edge.views.caller import masked

LONGEST_NOTE = 200
_TABLE = "number"
_PERMISSIONS = 0o600
_KNOWN_NUMBERS = 4096


class NumberListError(ConfigurationError):
    """The list cannot be used or changed. The message has one line per finding, and no number."""


@lru_cache(
    _KNOWN_NUMBERS
)  # one lookup asks twice, in the list and in the history, and parsing takes some 50 microseconds
def normalise(number: str, region: str = REGION) -> str | None:
    """`number` in E.164, so that all ways of writing it are one; None for what could be nobody's number."""
    found = possible(number, region)
    return None if found is None else e164(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One entry. `number`: E.164. `until`: the last day on which it holds. The number and the note never show in a `repr`."""

    number: str = field(repr=False)
    kind: str
    """Such as "vulnerable", "repeat", "vexatious" or "assisted"; shown to the handler."""
    priority_class: str | None = None
    language: str | None = None
    assisted: bool = False
    note: str = field(default="", repr=False)
    added: date
    added_by: str
    until: date

    @property
    def masked(self) -> str:
        """What may be shown of the number to anybody."""
        return masked(self.number, False)

    def holds_on(self, today: date) -> bool:
        """Whether it has not expired."""
        return today <= self.until


def _as_date(value: object) -> object:
    """TOML has dates; written as text they are the same."""
    if isinstance(value, datetime) or not isinstance(value, date | str):
        raise ValueError("must be a date such as 2027-11-30")  # noqa: TRY004 - pydantic explains a ValueError
    try:
        return value if isinstance(value, date) else date.fromisoformat(value)
    except ValueError:
        raise ValueError("must be a date such as 2027-11-30") from None


def _as_number(text: str) -> str:
    number = normalise(text)
    if number is None:
        raise ValueError('must be a whole telephone number such as "+441632960001" or "01632 960001"')
    return number


def _is_printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line of plain text")
    return text


_Date = Annotated[date, BeforeValidator(_as_date)]
_Text = Annotated[str, AfterValidator(_is_printable)]


class _Entry(Section):
    """`[[number]]`."""

    number: Annotated[str, AfterValidator(_as_number)]
    kind: Name
    priority_class: Name | None = Field(default=None, alias="class")
    language: Language | None = None
    assisted: Annotated[bool, Field(strict=True)] = False
    note: Annotated[_Text, Field(max_length=LONGEST_NOTE)] = ""
    added: _Date
    added_by: Annotated[_Text, Field(min_length=1, max_length=80)]
    until: _Date


class _File(Section):
    """The whole file."""

    entries: tuple[_Entry, ...] = Field(default=(), alias=_TABLE)


class NumberList:
    """The list as it stands in its file. Looking up costs a dictionary's time once the number is normalised."""

    def __init__(self, listings: Mapping[str, Listing], places: Mapping[str, str] | None = None) -> None:
        self._listings = listings
        self._places = places or {}

    @classmethod
    def load(cls, path: Path) -> Self:
        """The list in the file `path`; a file that is not there is an empty list. Raises `NumberListError`."""
        try:
            return cls._parse(path, path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls({})
        except OSError as error:
            raise _refusal(path, f"cannot be read: {error.strerror}", "Let this user read it.") from None
        except UnicodeDecodeError:
            raise _refusal(path, "is not UTF-8 text", "Save it as UTF-8.") from None

    @classmethod
    def _parse(cls, path: Path, text: str) -> Self:
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise _refusal(path, f"is not TOML: {error}", "Mend the syntax at that place.") from None
        reading = Reading(path, Positions(text), _File)
        file = reading.validate(document)
        listings: dict[str, Listing] = {}
        for index, entry in enumerate(file.entries if file else ()):
            if entry.until < entry.added:
                reading.add((_TABLE, index, "until"), "is before the day of adding", "Give a later day.")
            if entry.number in listings:
                reading.add((_TABLE, index, "number"), "stands in the list already", "Keep one entry of it.")
            listings[entry.number] = Listing(**entry.model_dump())
        if reading.failed:
            raise NumberListError(reading.findings)
        lines = (reading.positions.line((_TABLE, index)) for index in range(len(listings)))
        return cls(listings, {number: f"{path}:{line}" for number, line in zip(listings, lines, strict=True)})

    @property
    def entries(self) -> tuple[Listing, ...]:
        """All of them, expired ones too, in the file's order."""
        return tuple(self._listings.values())

    @property
    def languages(self) -> frozenset[str]:
        """Every language that an entry names."""
        return frozenset(listing.language for listing in self.entries if listing.language)

    def lookup(self, number: str | None, today: date) -> Listing | None:
        """The entry of this number, however it is written; None for none, an expired one, or no usable number.

        A withheld number is to be given as None: it is nobody's.
        """
        normal = normalise(number) if number else None
        listing = self._listings.get(normal) if normal else None
        return listing if listing and listing.holds_on(today) else None

    def unknown_classes(self, known: Collection[str]) -> list[Finding]:
        """An error for each entry whose class is not among those of the configuration."""
        return [
            Finding(
                Level.ERROR,
                f"{self._places.get(listing.number, 'number list')}: class",
                f'there is no class "{listing.priority_class}"',
                f"Known: {', '.join(sorted(known))}.",
            )
            for listing in self.entries
            if listing.priority_class is not None and listing.priority_class not in known
        ]


def audit_file(path: Path) -> Path:
    """Where the changes of this list are recorded: one JSON object a line."""
    return path.with_suffix(".audit.jsonl")


def add(path: Path, listing: Listing, now: datetime | None = None) -> Listing:
    """Adds an entry to the file, made if need be, and says so in the audit. Comments and every other entry stay as they are.

    The entry as it was taken, its number in E.164. Raises `NumberListError`, with nothing changed, when something in it is
    not acceptable or the number stands in the list already.
    """
    with _changing(path, now) as change:
        text = change.text + ("" if not change.text or change.text.endswith("\n") else "\n")
        block = _block(listing)
        taken = NumberList._parse(Path("the new entry"), block).entries[0]
        if taken.number in change.before:
            raise _refusal(path, f"{taken.masked} stands in the list already", "Remove it first.")
        change.make(
            text + ("\n" if text else "") + block, {**change.before, taken.number: taken}, "added", taken
        )
    return taken


def remove(path: Path, number: str, now: datetime | None = None) -> Listing:
    """Takes the entry of this number, however it is written, out of the file and says so in the audit.

    The entry that it was. Raises `NumberListError`, with nothing changed, when there is none.
    """
    with _changing(path, now) as change:
        normal = normalise(number)
        if normal is None or normal not in change.before:
            raise _refusal(path, f"{masked(number, False)} does not stand in the list", "Look at the list.")
        left = dict(change.before)
        gone = left.pop(normal)
        change.make(_without(change.text, list(change.before).index(normal)), left, "removed", gone)
    return gone


def disclosed(path: Path, count: int, now: datetime | None = None) -> None:
    """Says in the audit that `count` whole numbers are about to be shown. Raises `NumberListError`: then nothing may be."""
    record = {
        "at": (now or datetime.now(UTC)).isoformat(timespec="milliseconds"),
        "by": _who(),
        "what": "shown",
    }
    try:
        with _opened_audit(path) as audit:
            fcntl.flock(audit, fcntl.LOCK_EX)
            audit.write(json.dumps({**record, "numbers": count}) + "\n")
    except OSError as error:
        raise _refusal(
            audit_file(path),
            f"cannot be written ({error.strerror}), and whole numbers are not shown without it",
            "Run this as the user whose file it is.",
        ) from None


# --- changing the file ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Change:
    """One change of the file: nobody else changes it meanwhile."""

    path: Path
    audit: IO[str]
    text: str
    before: Mapping[str, Listing]
    at: datetime

    def make(self, text: str, after: Mapping[str, Listing], what: str, listing: Listing) -> None:
        """Puts `text` in the file's place if it says `after`: first the new file beside it, then the audit, then the change."""
        if dict(NumberList._parse(self.path, text)._listings) != dict(after):
            mend = "Change it by hand: each entry must begin with a line [[number]]."
            raise _refusal(self.path, "is written in a way that is not changed by program", mend)
        new = _written_beside(self.path, text)
        try:
            self.audit.write(json.dumps(self._record(what, listing)) + "\n")
            self.audit.flush()
            os.fsync(self.audit.fileno())
            new.replace(self.path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        _sync_folder(self.path.parent)

    def _record(self, what: str, listing: Listing) -> dict[str, Any]:
        return {
            "at": self.at.isoformat(timespec="milliseconds"),
            "by": _who(),
            "what": what,
            "number": listing.masked,
            "kind": listing.kind,
            "class": listing.priority_class,
            "language": listing.language,
            "assisted": listing.assisted,
            "until": listing.until.isoformat(),
        }


@contextmanager
def _changing(path: Path, now: datetime | None) -> Iterator[_Change]:
    try:
        with _opened_audit(path) as audit:
            fcntl.flock(audit, fcntl.LOCK_EX)
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            before = NumberList._parse(path, text)._listings
            yield _Change(path, audit, text, before, now or datetime.now(UTC))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise _refusal(path, f"cannot be changed: {why}", "Run this as the user whose file it is.") from None


def _opened_audit(path: Path) -> IO[str]:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.fdopen(os.open(audit_file(path), flags, _PERMISSIONS), "a", encoding="utf-8")


def _written_beside(path: Path, text: str) -> Path:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            if path.exists() and os.geteuid() == 0:  # the daemon, whose file it is, must go on reading it
                os.fchown(descriptor, path.stat().st_uid, path.stat().st_gid)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _block(listing: Listing) -> str:
    lines = [
        f"[[{_TABLE}]]",
        f"number = {_text(normalise(listing.number) or listing.number)}",
        f"kind = {_text(listing.kind)}",
        f"class = {_text(listing.priority_class)}" if listing.priority_class else "",
        f"language = {_text(listing.language)}" if listing.language else "",
        "assisted = true" if listing.assisted else "",
        f"note = {_text(listing.note)}" if listing.note else "",
        f"added = {listing.added.isoformat()}",
        f"added_by = {_text(listing.added_by)}",
        f"until = {listing.until.isoformat()}",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def _text(text: str) -> str:
    """As a TOML string: a JSON string is one, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _without(text: str, index: int) -> str:
    """`text` without its entry `index`: from its header to the last line of it, comments before the next entry stay."""
    lines = text.splitlines(keepends=True)
    first = Positions(text).line((_TABLE, index)) - 1
    last = Positions(text).line((_TABLE, index + 1)) - 1  # 0, the first line, where there is no next
    end = last if last > first else len(lines)
    while end > first + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    return "".join(lines[:first] + lines[end:]).lstrip("\n")


def _who() -> str:
    """The user of the system, and who became it by sudo."""
    name = _user_name(os.getuid())
    became = os.environ.get("SUDO_USER", "")
    return f"{became} (as {name})" if re.fullmatch(r"[A-Za-z0-9._@-]{1,64}", became) else name


def _user_name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _refusal(path: Path, problem: str, mend: str) -> NumberListError:
    return NumberListError([Finding(Level.ERROR, str(path), problem, mend)])
