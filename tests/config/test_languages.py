"""A language is complete, or the configuration that uses it is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.config import ConfigurationError, languages, load

Written = Callable[[str], Path]

NUMBERS = """\
[[number]]
number = "01632 960111"
kind = "assisted"
language = "cy"
added = 2026-01-01
added_by = "ann"
until = 2027-01-01
"""

USES = [
    # what is added to the line, and to the file; the key that asks for the language
    ('language = "cy"', "", "line.public.language"),
    (
        'menu = { prompt = "language-menu", choices = { "1" = { language = "cy" } } }',
        "",
        "line.public.menu.choices.1.language",
    ),
    ("", '[number_list]\nfile = "numbers.toml"\n', "number_list.file"),
]


@pytest.fixture
def lacks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Leaves Welsh out of these prompts of the manifest."""

    def leave_out(*names: str) -> None:
        whole = languages.manifest()
        less = {name: spoken - {"cy"} if name in names else spoken for name, spoken in whole.items()}
        monkeypatch.setattr(languages, "manifest", lambda: less)

    return leave_out


def used(written: Written, good: str, on_the_line: str, in_the_file: str) -> Path:
    path = written(
        good.replace('greeting = "greeting-101"', f'greeting = "greeting-101"\n{on_the_line}') + in_the_file
    )
    (path.parent / "numbers.toml").write_text(NUMBERS)
    (path.parent / "numbers.toml").chmod(0o600)
    return path


@pytest.mark.parametrize(("on_the_line", "in_the_file", "key"), USES)
def test_welsh_is_complete(written: Written, good: str, on_the_line: str, in_the_file: str, key: str) -> None:
    """Every prompt of ours is written in it, so each of the three ways to use it is fine."""
    assert load(used(written, good, on_the_line, in_the_file)).warnings == ()


@pytest.mark.parametrize(("on_the_line", "in_the_file", "key"), USES)
@pytest.mark.parametrize("missing", [("full",), ("number-7", "minutes")])
def test_one_missing_prompt_refuses_the_language(
    written: Written,
    good: str,
    lacks: Callable[..., None],
    on_the_line: str,
    in_the_file: str,
    key: str,
    missing: tuple[str, ...],
) -> None:
    """Numbers and units too: all that is missing is listed, with what mends it."""
    lacks(*missing)
    with pytest.raises(ConfigurationError) as refused:
        load(used(written, good, on_the_line, in_the_file))
    (finding,) = refused.value.findings
    assert finding.where.endswith(f": {key}")
    assert finding.problem.endswith(f": {', '.join(sorted(missing))}")
    assert "text.cy" in finding.mend


def test_who_does_not_use_a_language_needs_none_of_it(
    written: Written, good: str, lacks: Callable[..., None]
) -> None:
    """An English force starts without Welsh."""
    lacks("full")
    assert load(written(good)).warnings == ()


def test_a_prompt_of_the_site_s_own_must_be_written_too(written: Written, good: str) -> None:
    """A greeting that stands in no manifest is in no language that anybody could rely on."""
    text = good.replace('"greeting-101"', '"own-greeting"\nlanguage = "cy"')
    with pytest.raises(ConfigurationError, match="not written in it: own-greeting"):
        load(written(text))


def test_a_language_that_nobody_wrote(written: Written, good: str) -> None:
    """The message says which there are."""
    with pytest.raises(ConfigurationError, match=r"use one of: cy, en\."):
        load(written(good.replace('"greeting-101"', '"greeting-101"\nlanguage = "fr"')))


def test_a_language_is_said_once(written: Written, good: str) -> None:
    """Three lines of one language are one finding, at the first of them."""
    text = good.replace('"greeting-101"', '"greeting-101"\nlanguage = "fr"')
    more = "".join(
        f'[line.l{n}]\nnumber = "{n}"\ntier = "101"\nqueue = "public"\nlanguage = "fr"\n' for n in range(2)
    )
    with pytest.raises(ConfigurationError) as refused:
        load(written(text + more))
    assert [f.where.rsplit(": ", 1)[1] for f in refused.value.findings] == ["line.public.language"]
