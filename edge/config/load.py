"""Reads the configuration: parse, fetch the secrets from their files, validate, look for contradictions.

Everything that is wrong is found in one go, so that a person mends the file once.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edge.config.contradictions import contradictions
from edge.config.findings import ConfigurationError, Finding, Level
from edge.config.model import Configuration
from edge.config.position import KeyPath, Positions

_WORDS_FOR_SECRETS = frozenset({"password", "secret", "passwd", "password_hash"})


def load(path: str | Path) -> Configuration:
    """The configuration in the file `path`. Raises `ConfigurationError` with every finding when it cannot be used."""
    configuration, findings = examine(Path(path))
    if configuration is None:
        raise ConfigurationError(findings)
    return configuration


def examine(path: Path) -> tuple[Configuration | None, list[Finding]]:
    """The configuration, or None if it has errors, and everything found in the file."""
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        return None, [_unreadable(path, error)]
    except UnicodeDecodeError:
        return None, [Finding(Level.ERROR, str(path), "is not UTF-8 text", "Save it as UTF-8.")]
    except tomllib.TOMLDecodeError as error:
        return None, [
            Finding(Level.ERROR, str(path), f"is not TOML: {error}", "Mend the syntax at that place.")
        ]
    digest = hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()
    reading = _Reading(path, Positions(text))
    reading.fetch_secrets(document)
    configuration = reading.validate(document)
    if configuration is None:
        return None, reading.findings
    reading.compare(configuration)
    if any(finding.level is Level.ERROR for finding in reading.findings):
        return None, reading.findings
    return configuration.with_origin(digest, tuple(reading.findings)), reading.findings


def _unreadable(path: Path, error: OSError) -> Finding:
    return Finding(
        Level.ERROR,
        str(path),
        f"cannot be read: {error.strerror}",
        "Name the file, or let this user read it.",
    )


@dataclass
class _Reading:
    """One reading of one file: what was found so far."""

    path: Path
    positions: Positions
    findings: list[Finding] = field(default_factory=list)

    def add(self, key: KeyPath, problem: str, mend: str, level: Level = Level.ERROR) -> None:
        where = f"{self.path}:{self.positions.line(key)}: {_dotted(key)}"
        self.findings.append(Finding(level, where, problem, mend))

    def fetch_secrets(self, document: dict[str, Any]) -> None:
        """Takes out literal secrets and puts in those of the files. A PIN may be literal: agents are many."""
        for key, table in _tables(document):
            for word in _WORDS_FOR_SECRETS & table.keys():
                del table[word]
                self.add(
                    (*key, word),
                    "a secret must not stand in this file",
                    'Put it alone into a file that only the daemon\'s user can read and name that: password_file = "...".',
                )
            if "pin" in table and "pin_file" in table:
                self.add((*key, "pin_file"), "there is a pin too", "Keep one of the two.")
            elif "pin" in table:
                self._complain_if_public(self.path, (*key, "pin"))
            for name in ("password", "pin"):
                if isinstance(file := table.get(f"{name}_file"), str):
                    secret = self._read_secret((*key, f"{name}_file"), file)
                    if secret is not None:
                        table[name] = secret

    def _read_secret(self, key: KeyPath, name: str) -> str | None:
        file = self._secret_path(name)
        try:
            secret = file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            problem = error.strerror if isinstance(error, OSError) else "is not ASCII text"
            self.add(
                key,
                f"{file} cannot be used: {problem}",
                "Write the secret alone into it: (umask 077; openssl rand -hex 24 > FILE).",
            )
            return None
        self._complain_if_public(file, key)
        return secret

    def _secret_path(self, name: str) -> Path:
        """systemd's credential of that name if there is one (systemd.exec(5), Credentials), else beside this file."""
        if credentials := os.environ.get("CREDENTIALS_DIRECTORY"):
            credential = Path(credentials, name)
            if credential.is_file():
                return credential
        return self.path.parent / name

    def _complain_if_public(self, file: Path, key: KeyPath) -> None:
        if file.stat().st_mode & stat.S_IROTH:
            self.add(key, f"everybody on this machine can read {file}", f"chmod o-r {file}", Level.WARNING)

    def validate(self, document: Mapping[str, Any]) -> Configuration | None:
        try:
            return Configuration.model_validate(document)
        except ValidationError as error:
            for detail in error.errors():
                self._explain(detail)
            return None

    def _explain(self, detail: ErrorDetails) -> None:
        location = tuple(part for part in detail["loc"] if part != "[key]")
        match detail["type"]:
            case "extra_forbidden":
                self.add(location, "unknown key", _nearest(location))
            case "missing":
                self.add(location, "is missing", f"Add it to [{_dotted(location[:-1])}].")
            case "value_error":
                self.add(location, "is not acceptable", f"It {detail['ctx']['error']}.")
            case _:
                self.add(location, "is not acceptable", f"{detail['msg']}.")

    def compare(self, configuration: Configuration) -> None:
        for contradiction in contradictions(configuration):
            self.add(contradiction.key, contradiction.problem, contradiction.mend, contradiction.level)


def _tables(table: dict[str, Any], key: KeyPath = ()) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    yield key, table
    for name, value in list(table.items()):
        if isinstance(value, dict):
            yield from _tables(value, (*key, name))


def _dotted(key: KeyPath) -> str:
    return ".".join(map(str, key)) or "(top of the file)"


def _nearest(location: KeyPath) -> str:
    known = _known_keys(location[:-1])
    near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(known)}."


def _known_keys(location: KeyPath) -> list[str]:
    model: Any = Configuration
    for part in location:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field_of_part = next(f for name, f in model.model_fields.items() if (f.alias or name) == part)
            model = field_of_part.annotation
        else:
            model = next(a for a in reversed(get_args(model)) if a is not ...)
    return sorted(f.alias or name for name, f in model.model_fields.items() if name not in _WORDS_FOR_SECRETS)
