"""What a lab's switch says to callers: its configuration and the files of its prompts, to be known again when heard."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from hwtest.audio.signal import Samples, first_audible_seconds, read_wav
from hwtest.lab.contract import Lab
from hwtest.probes.contract import NotMeasuredError
from hwtest.useragent.g711 import SAMPLE_RATE_HZ

KNOWN_BY_SECONDS = 2.0
"""So much of a prompt's beginning is enough to know it again."""
LEAST_LIKENESS = 0.7
"""From here on what was heard is the prompt: G.711 alone leaves 0.99, and other speech or music comes out below 0.3."""


def document_of(lab: Lab) -> dict[str, Any]:
    """The lab's edge101.toml as it stands on disk. NotMeasuredError where it cannot be read."""
    try:
        return tomllib.loads(Path(lab.config).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise NotMeasuredError(
            f"the lab's configuration cannot be read: {error}", f"edge --config {lab.config} check"
        ) from None


def line_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The table of a line by its name in lab.json; empty for a line that the configuration does not know."""
    lines: dict[str, dict[str, Any]] = document.get("line", {})
    return next((line for known, line in lines.items() if known.replace("-", "_") == name), {})


def beginning_of(lab: Lab, prompt: str, language: str = "en") -> Samples | None:
    """The first words of a prompt, from where they begin; None where its file is missing, empty or no WAV."""
    file = Path(lab.asterisk_directory, "data", "sounds", language, "edge", f"{prompt}.wav")
    try:
        samples = read_wav(file)
    except (OSError, ValueError):
        return None
    begin = first_audible_seconds(samples)
    if begin is None:
        return None
    start = round(begin * SAMPLE_RATE_HZ)
    return samples[start : start + round(KNOWN_BY_SECONDS * SAMPLE_RATE_HZ)]
