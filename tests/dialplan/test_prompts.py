"""Prompts: spoken once per text, never over somebody's recording."""

import math
import re
import shutil
import stat
import wave
from array import array
from importlib import import_module
from pathlib import Path

import pytest

from dialplans.asterisk import generate
from dialplans.prompts import PromptError, languages, make, make_all, texts
from dialplans.prompts.make import SAMPLES_PER_SECOND, resample
from edge.config import Configuration
from edge.core.promise import CALLBACK_PROMPTS, TASK_PROMPTS

SPEAKER = "#!/bin/sh\ncat > /dev/null\nexec cat '{noise}'\n"


@pytest.fixture
def speaker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An espeak-ng that says a short noise."""
    program = tmp_path / "bin/espeak-ng"
    program.parent.mkdir()
    noise = tmp_path / "bin/noise.wav"
    with wave.open(str(noise), "wb") as sound:
        sound.setparams((1, 2, 22050, 441, "NONE", ""))
        sound.writeframes(bytes([7, 1]) * 441)
    program.write_text(SPEAKER.format(noise=noise))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_made_once(speaker: None, tmp_path: Path) -> None:
    """The second time nothing is spoken, a text that changed is spoken again, and the format is the telephone's."""
    directory = tmp_path / "edge"
    first = make(directory)
    assert set(first.written) == set(texts())
    assert make(directory).unchanged == first.written
    with wave.open(str(directory / "ready.wav")) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (
            1,
            2,
            SAMPLES_PER_SECOND,
        )
        assert sound.getnframes() == 160
    memory = directory / ".edge101-prompts.json"
    memory.write_text(memory.read_text().replace('"ready.wav": [\n  "', '"ready.wav": [\n  "0'))
    assert make(directory).written == ("ready",)


def test_recordings_are_left_alone(speaker: None, tmp_path: Path) -> None:
    """A file that was not made by us stays as it is, whether it was there before or replaced ours."""
    directory = tmp_path / "edge"
    directory.mkdir()
    (directory / "ready.wav").write_bytes(b"studio one")
    make(directory)
    (directory / "greeting-101.wav").write_bytes(b"studio two")
    assert make(directory).recordings == ("greeting-101", "ready")
    assert (directory / "ready.wav").read_bytes() == b"studio one"
    assert (directory / "greeting-101.wav").read_bytes() == b"studio two"


def test_every_language_has_its_folder(speaker: None, tmp_path: Path) -> None:
    """Each language is made where Asterisk looks for it, and none lacks what another has."""
    made = make_all(tmp_path)
    assert languages() == ("en", "cy")
    assert (
        {*made["en"].written}
        == {*made["cy"].written}
        == {path.stem for path in (tmp_path / "cy/edge").glob("*.wav")}
    )
    assert all(made.unchanged for made in make_all(tmp_path).values())


def test_every_number_is_written() -> None:
    """1 to 20, and one for whatever is more."""
    for language in languages():
        numbers = {name for name in texts(language) if name.startswith("number-")}
        assert numbers == {f"number-{number}" for number in range(1, 22)}
        spoken = [texts(language)[name] for name in numbers]
        assert len(set(spoken)) == len(spoken)


def test_nobody_is_told_only_to_hang_up() -> None:
    """Who hears that they wait, or cannot be served, hears what to do in danger: the key, and where they shall go on, 999."""
    for name in (
        "greeting-101",
        "incident",
        "still-waiting",
        "fallback-still-waiting",
        "closed",
        "closed-incident",
        "full",
    ):
        assert "press nine now, or hang up and dial nine nine nine" in texts("en")[name]
        assert "pwyswch naw nawr" in texts("cy")[name]
        assert "naw naw naw" in texts("cy")[name]


def test_call_back_says_what_it_names_and_never_who_calls() -> None:
    """Whoever else is at the number must not learn it; what is named for the checks is what is written."""
    for language in languages():
        said = {name: text for name, text in texts(language).items() if name in CALLBACK_PROMPTS}
        assert said.keys() == CALLBACK_PROMPTS
        written = {name for name in texts(language) if name.startswith(("callback-", "digit-"))}
        assert written == CALLBACK_PROMPTS
        for text in said.values():
            assert not re.search("police|heddlu|crime|trosedd", text, re.IGNORECASE)
        digits = [said[f"digit-{digit}"] for digit in range(10)]
        assert len(set(digits)) == 10
        assert digits[1:] == [texts(language)[f"number-{number}"] for number in range(1, 10)]


def test_a_handler_is_told_what_to_press() -> None:
    """What is named for the checks is what is written, and each offer says its keys, in every language."""
    for language in languages():
        said = {name: text for name, text in texts(language).items() if name.startswith("task-")}
        assert said.keys() == TASK_PROMPTS
        one, two = {"en": ("one", "two"), "cy": ("un", "dau")}[language]
        assert one in said["task-choose"] and two in said["task-choose"]
        assert two in said["task-look-up"] and two in said["task-not-now"]


def test_without_espeak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its absence is told with the line that mends it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PromptError, match="apt-get install espeak-ng"):
        make(tmp_path / "edge")


def test_a_language_nobody_wrote(tmp_path: Path) -> None:
    """No texts, no files, and a word about it."""
    with pytest.raises(PromptError, match=r"no text\.xx"):
        make(tmp_path / "edge", "xx")


def test_the_dialplan_plays_only_what_is_made(configuration: Configuration) -> None:
    """Every prompt in the generated dialplan stands in the manifest."""
    text = generate(configuration, (22,))["edge101-extensions.conf"]
    lines = [line for line in text.splitlines() if re.search(r"Playback|Background|EDGE_ASK=", line)]
    played = {name for line in lines for name in re.findall(r"edge/([\w-]+)", line)}
    assert {"signed-in", "enter-pin", "wrong-pin", "fallback-still-waiting"} <= played <= set(texts())


@pytest.mark.parametrize(("hertz", "level"), [(440, 1.0), (1000, 1.0), (6000, 0.0), (9000, 0.0)])
def test_resampling_keeps_speech_and_nothing_else(hertz: int, level: float) -> None:
    """A tone of the telephone's band keeps its level, one above it is gone and not folded back."""
    rate, peak = 22050, 10000
    tone = array("h", (round(peak * math.sin(2 * math.pi * hertz * i / rate)) for i in range(rate // 5)))
    middle = resample(rate, tone)[200:1400]
    measured = math.sqrt(2 * sum(sample * sample for sample in middle) / len(middle)) / peak
    assert measured == pytest.approx(level, abs=0.03)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_real_speech(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real espeak-ng says the greeting in a sensible time, audibly."""
    greeting = {"greeting-101": texts()["greeting-101"]}
    monkeypatch.setattr(import_module("dialplans.prompts.make"), "texts", lambda _language: greeting)
    make(tmp_path)
    with wave.open(str(tmp_path / "greeting-101.wav")) as sound:
        seconds = sound.getnframes() / sound.getframerate()
        loudest = max(map(abs, array("h", sound.readframes(sound.getnframes()))))
    assert 5 < seconds < 25
    assert loudest > 3000
