"""Speaks the prompts of the manifest into 8 kHz files, with nothing but espeak-ng and the standard library.

A file is made anew only when its text changed. `.edge101-prompts.json` beside the files remembers the digest of each
file's text and sound: a file whose sound is not the one remembered is somebody's recording and is left alone.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import shutil
import subprocess
import tomllib
import wave
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import mul
from pathlib import Path

SAMPLES_PER_SECOND = 8000
"""Telephone bandwidth: Asterisk plays such a WAV without resampling."""
WORDS_PER_MINUTE = 150
SPEAK_SECONDS = 30.0

_MANIFEST = Path(__file__).with_name("manifest.toml")
_MEMORY = ".edge101-prompts.json"
_VOICES = {"en": "en-gb"}
_TAPS = 63
_PASS_HERTZ = 3600.0
_RECIPE = "1"  # raise it when the same text shall sound different


class PromptError(Exception):
    """Prompts cannot be made. The message says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Made:
    """What `make` did, as prompt ids."""

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    recordings: tuple[str, ...]
    """Left alone: files that were not made by us."""


def languages() -> tuple[str, ...]:
    """Every language that something is written in, English first."""
    manifest = tomllib.loads(_MANIFEST.read_text(encoding="utf-8"))
    known = {language for entry in manifest.values() for language in entry["text"]}
    return tuple(sorted(known, key=lambda language: (language != "en", language)))


def texts(language: str = "en") -> Mapping[str, str]:
    """Prompt id to what it says. Raises `PromptError` when nothing is written in that language."""
    manifest = tomllib.loads(_MANIFEST.read_text(encoding="utf-8"))
    spoken = {name: entry["text"][language] for name, entry in manifest.items() if language in entry["text"]}
    if not spoken:
        raise PromptError(f"{_MANIFEST} has no text.{language}. Add one to each prompt.")
    return spoken


def make_all(sounds: Path) -> Mapping[str, Made]:
    """Brings `sounds/LANGUAGE/edge` up to date for each language; `sounds` is Asterisk's folder of that name.

    Asterisk plays `edge/ready` to a channel of language cy from `cy/edge`, and from `en/edge` where it is not there.
    Raises `PromptError` as `make` does.
    """
    return {language: make(sounds / language / "edge", language) for language in languages()}


def make(directory: Path, language: str = "en") -> Made:
    """Brings the prompts in `directory` (Asterisk's `sounds/LANGUAGE/edge`) up to date with the manifest.

    Raises `PromptError` when espeak-ng is missing or fails; files made until then stay.
    """
    directory.mkdir(parents=True, exist_ok=True)
    memory = _remembered(directory)
    done: dict[str, list[str]] = {"written": [], "unchanged": [], "recordings": []}
    for name, text in texts(language).items():
        done[_bring_up_to_date(directory / f"{name}.wav", text, language, memory)].append(name)
        _remember(directory, memory)
    return Made(**{key: tuple(names) for key, names in done.items()})


def _bring_up_to_date(path: Path, text: str, language: str, memory: dict[str, Sequence[str]]) -> str:
    wanted = _digest(f"{_RECIPE} {language} {text}".encode())
    made_of, sound = memory.get(path.name, ("", ""))
    if path.exists():
        if _digest(path.read_bytes()) != sound:
            return "recordings"
        if made_of == wanted:
            return "unchanged"
    content = _as_wav(resample(*_speak(text, language)))
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    memory[path.name] = (wanted, _digest(content))
    partial.replace(path)
    return "written"


def _remembered(directory: Path) -> dict[str, Sequence[str]]:
    try:
        memory: dict[str, Sequence[str]] = json.loads((directory / _MEMORY).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise PromptError(
            f"{directory / _MEMORY} is damaged: {error}. Remove it and the prompts made by us."
        ) from None
    return memory


def _remember(directory: Path, memory: Mapping[str, Sequence[str]]) -> None:
    partial = directory / f"{_MEMORY}.partial"
    partial.write_text(json.dumps(memory, indent=1, sort_keys=True), encoding="utf-8")
    partial.replace(directory / _MEMORY)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _speak(text: str, language: str) -> tuple[int, array[int]]:
    """Samples per second and the samples of the spoken text."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise PromptError("espeak-ng is not installed. Install it: apt-get install espeak-ng")
    voice = _VOICES.get(language, language)
    try:
        spoken = subprocess.run(  # noqa: S603 - the program found above, our own text
            [program, "-v", voice, "-s", str(WORDS_PER_MINUTE), "--stdin", "--stdout"],
            input=text.encode(),
            capture_output=True,
            timeout=SPEAK_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise PromptError(
            f"espeak-ng failed for language {language}: {said}. Look at: espeak-ng --voices"
        ) from None
    except subprocess.TimeoutExpired:
        raise PromptError(f"espeak-ng did not end within {SPEAK_SECONDS:.0f} s. Try it by hand.") from None
    return _samples(spoken.stdout)


def _samples(content: bytes) -> tuple[int, array[int]]:
    """The samples of espeak-ng's WAV, whose header claims an unknown length because it is a stream."""
    with wave.open(io.BytesIO(content)) as sound:
        if (sound.getnchannels(), sound.getsampwidth()) != (1, 2):
            raise PromptError(
                "espeak-ng gave something else than 16-bit mono sound. Install Debian's espeak-ng."
            )
        frames = sound.readframes(len(content))
        return sound.getframerate(), array("h", frames[: len(frames) // 2 * 2])


def resample(rate: int, samples: Sequence[int]) -> array[int]:
    """`samples` at `rate` per second, at 8 kHz: each new sample is a windowed sinc around its place in the old ones,
    which also takes out what 8 kHz cannot carry."""
    cutoff = 2 * min(_PASS_HERTZ, rate / 2) / rate
    half = _TAPS // 2
    output = array("h")
    padded = [0] * half + list(samples) + [0] * (half + 1)
    for index in range(len(samples) * SAMPLES_PER_SECOND // rate):
        whole, rest = divmod(index * rate, SAMPLES_PER_SECOND)
        taps = _taps(cutoff, rest / SAMPLES_PER_SECOND)
        value = sum(map(mul, taps, padded[whole : whole + _TAPS]))
        output.append(max(-32768, min(32767, round(value))))
    return output


@cache
def _taps(cutoff: float, fraction: float) -> Sequence[float]:
    """A Hann-windowed sinc shifted by `fraction` of a sample, scaled to pass a constant unchanged."""
    half = _TAPS // 2
    offsets = [position - half - fraction for position in range(_TAPS)]
    taps = [_sinc(cutoff * x) * (0.5 + 0.5 * math.cos(math.pi * x / (half + 1))) for x in offsets]
    total = sum(taps)
    return [tap / total for tap in taps]


def _sinc(x: float) -> float:
    return math.sin(math.pi * x) / (math.pi * x) if x else 1.0


def _as_wav(samples: array[int]) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLES_PER_SECOND)
        sound.writeframes(samples.tobytes())
    return buffer.getvalue()
