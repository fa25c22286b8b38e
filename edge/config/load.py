"""Reads the configuration: parse, fetch the secrets from their files, validate, look for contradictions.

Everything that is wrong is found in one go, so that a person mends the file once.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge.config.contradictions import contradictions
from edge.config.findings import ConfigurationError, Finding, Level
from edge.config.languages import lacking, languages
from edge.config.model import Configuration, Section
from edge.config.position import KeyPath, Positions
from edge.config.reading import WORDS_FOR_SECRETS, Reading
from edge.config.rules_of_mi import mi_files

OF_OTHER_PROCESSES = frozenset({("ship",)})
"""Tables whose secret only another process reads: it must not keep the daemon from its callers."""
MAY_BE_CLOSED = frozenset({("switch", "rescue")})
"""Tables whose secret may be root's alone: the daemon never uses it, and must not stay away from its callers for want of it."""
MI_FILES = ("directory", "certificate_file", "client_ca_file")


def load(path: str | Path, year: int | None = None) -> Configuration:
    """The configuration in the file `path`, its opening hours worked out around `year` (None: the year that it is).

    Raises `ConfigurationError` with every finding when it cannot be used.
    """
    configuration, findings = examine(Path(path), year)
    if configuration is None:
        raise ConfigurationError(findings)
    return configuration


def examine(path: Path, year: int | None = None) -> tuple[Configuration | None, list[Finding]]:
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
    reading = _ConfigurationReading(path, Positions(text), Configuration)
    reading.fetch_secrets(document)
    configuration = reading.validate(document)
    if configuration is None:
        return None, reading.findings
    configuration = reading.placed(configuration)
    reading.compare(configuration)
    if reading.failed:
        return None, reading.findings
    return configuration.with_origin(digest, tuple(reading.findings), year), reading.findings


def _unreadable(path: Path, error: OSError) -> Finding:
    return Finding(
        Level.ERROR,
        str(path),
        f"cannot be read: {error.strerror}",
        "Name the file, or let this user read it.",
    )


class _ConfigurationReading(Reading[Configuration]):
    """The reading of the configuration's file, and of the files that it names."""

    def fetch_secrets(self, document: dict[str, Any]) -> None:
        """Takes out literal secrets and puts in those of the files. A PIN may be literal: agents are many."""
        for key, table in _tables(document):
            for word in WORDS_FOR_SECRETS & table.keys():
                del table[word]
                self.add(
                    (*key, word),
                    "a secret must not stand in this file",
                    'Put it alone into a file that only the daemon\'s user can read and name that: password_file = "...".',
                )
            if "pin" in table and "pin_file" in table:
                self.add((*key, "pin_file"), "there is a pin too", "Keep one of the two.")
            elif "pin" in table:
                self.complain_if_public(self.path, (*key, "pin"))
            for name in ("password", "pin") if key not in OF_OTHER_PROCESSES else ():
                if isinstance(file := table.get(f"{name}_file"), str):
                    secret = self._read_secret((*key, f"{name}_file"), file)
                    if secret is not None:
                        table[name] = secret

    def _read_secret(self, key: KeyPath, name: str) -> str | None:
        file = self._secret_path(name)
        try:
            secret = file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            if isinstance(error, PermissionError) and key[:-1] in MAY_BE_CLOSED:
                return None
            problem = error.strerror if isinstance(error, OSError) else "is not ASCII text"
            self.add(
                key,
                f"{file} cannot be used: {problem}",
                "Write the secret alone into it: (umask 077; openssl rand -hex 24 > FILE).",
            )
            return None
        self.complain_if_public(file, key)
        return secret

    def _secret_path(self, name: str) -> Path:
        """systemd's credential of that name if there is one (systemd.exec(5), Credentials), else beside this file."""
        if credentials := os.environ.get("CREDENTIALS_DIRECTORY"):
            credential = Path(credentials, name)
            if credential.is_file():
                return credential
        return self.path.parent / name

    def placed(self, configuration: Configuration) -> Configuration:
        """The same, with the paths of the files that it names as they are from here."""
        mi, listed = configuration.mi, configuration.number_list.file
        own = {name: self.path.parent / file for name in MI_FILES if (file := getattr(mi, name)) is not None}
        if mi.key_file is not None:
            own["key_file"] = self._secret_path(str(mi.key_file))
        placed: dict[str, Section] = {"mi": mi.model_copy(update=own)}
        if listed is not None:
            update = {"file": self.path.parent / listed}
            placed["number_list"] = configuration.number_list.model_copy(update=update)
        return configuration.model_copy(update=placed)

    def compare(self, configuration: Configuration) -> None:
        """Adds what does not go together, the number list and the prompts' languages included."""
        for contradiction in (*contradictions(configuration), *mi_files(configuration)):
            self.add(contradiction.key, contradiction.problem, contradiction.mend, contradiction.level)
        listed = self._check_number_list(configuration)
        for language, key in languages(configuration, listed).items():
            if found := lacking(language, configuration.prompts):
                self.add(key, *found)

    def _check_number_list(self, configuration: Configuration) -> frozenset[str]:
        """The languages that the number list names. Its findings are those of its own file, and warnings: a slip in the list
        must not keep the daemon from its callers."""
        from edge.directory import NumberList, NumberListError  # it needs this package

        file, key = configuration.number_list.file, ("number_list", "file")
        if file is None:
            return frozenset()
        if not file.exists():
            mend = "Add a number with `edge numbers add`, or leave this key out."
            self.add(key, f"{file} is not there: no number is known", mend, Level.WARNING)
            return frozenset()
        try:
            numbers = NumberList.load(file)
        except NumberListError as error:
            self.findings += (replace(finding, level=Level.WARNING) for finding in error.findings)
            return frozenset()
        self.complain_if_public(file, key)
        self.findings += numbers.unknown_classes(configuration.class_names)
        return numbers.languages


def _tables(table: dict[str, Any], key: KeyPath = ()) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    yield key, table
    for name, value in list(table.items()):
        if isinstance(value, dict):
            yield from _tables(value, (*key, name))
