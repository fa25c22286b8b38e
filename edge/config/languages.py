"""In which languages callers are spoken to, and which prompts are not written in one of them.

A caller who chose Welsh must not be left in silence, or be answered in English by half of the prompts: a language is
complete, or the configuration that uses it is refused.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

from edge.config.model import Configuration
from edge.config.position import KeyPath

FIRST = "en"
"""The language in which every prompt is written, and which the switch falls back to."""


def languages(configuration: Configuration, listed: Collection[str] = ()) -> Mapping[str, KeyPath]:
    """Every language but the first that a caller may be spoken to in, and a key that asks for it."""
    asked: dict[str, KeyPath] = {}
    for name, line in configuration.lines.items():
        asked.setdefault(line.language, ("line", name, "language"))
        for key, choice in line.choices.items():
            asked.setdefault(choice.language or FIRST, ("line", name, "menu", "choices", key, "language"))
    for language in sorted(listed):
        asked.setdefault(language, ("number_list", "file"))
    asked.pop(FIRST, None)
    return asked


def lacking(language: str, named: Collection[str]) -> tuple[str, str] | None:
    """What is wrong and how to mend it when a prompt of ours, or one `named` by the configuration, lacks this language."""
    written = manifest()
    if missing := sorted(
        name for name in {*written, *named} if language not in written.get(name, frozenset())
    ):
        known = sorted(frozenset[str]().union(*written.values()))
        return (
            f'callers would be spoken to in "{language}", and these prompts are not written in it: {", ".join(missing)}',
            f"Add text.{language} to each in dialplans/prompts/manifest.toml, or use one of: {', '.join(known)}.",
        )
    return None


@cache
def manifest() -> Mapping[str, frozenset[str]]:
    """Prompt id to the languages that it is written in."""
    text = resources.files("dialplans.prompts").joinpath("manifest.toml").read_text(encoding="utf-8")
    return MappingProxyType({name: frozenset(entry["text"]) for name, entry in tomllib.loads(text).items()})
