"""The force's list of known numbers: what stands in it, what is refused, how it is changed, and that no number gets out."""

import json
import os
import stat
import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.directory import Listing, NumberList, NumberListError, add, audit_file, normalise, remove

TODAY = date(2026, 11, 24)
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ENTRY = """\
[[number]]
number = "01632 960111"
kind = "vulnerable"
class = "vulnerable"
language = "cy"
assisted = true
note = "Ask for Mair"
added = 2026-01-01
added_by = "ann"
until = 2026-11-24
"""
LISTED = Listing(
    number="+441632960111",
    kind="vulnerable",
    priority_class="vulnerable",
    language="cy",
    assisted=True,
    note="Ask for Mair",
    added=date(2026, 1, 1),
    added_by="ann",
    until=TODAY,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "numbers.toml"


# --- numbers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    [
        "+441632960111", "00441632960111", "441632960111", "01632960111", "01632 960111", "(01632) 960-111",
        "+44 1632 960 111", "+44 (0)1632 960111",
    ],
)  # fmt: skip
def test_all_ways_of_writing_a_number_are_one(number: str) -> None:
    """E.164."""
    assert normalise(number) == "+441632960111"


@pytest.mark.parametrize(
    "number",
    [
        "", "anonymous", "Restricted", "101", "999", "4001", "0", "+", "1" * 40, "0163296011A", "0800FLOWER",
        "01632960111;ext=9", "01632960111\r\nX: 1",
        "\u0660\u0661\u0666\u0663\u0662\u0669\u0666\u0660\u0661\u0661\u0661", "+9991234567",
        "0" * 16, "sip:01632960111@x", "++441632960111",
    ],
)  # fmt: skip
def test_what_is_nobody_s_number_is_none(number: str) -> None:
    """Words, short codes, letters, other alphabets, what a stranger puts in front of or behind a number."""
    assert normalise(number) is None


def test_a_number_from_abroad_keeps_its_country() -> None:
    """And another region reads its own."""
    assert normalise("+33 1 99 00 12 34") == "+33199001234"
    assert normalise("01 99 00 12 34", "FR") == "+33199001234"


@given(st.text(max_size=40))
def test_any_text_is_a_number_or_none(text: str) -> None:
    """Whatever a trunk delivers; what is a number stays the same when it is normalised again."""
    normal = normalise(text)
    assert normal is None or normalise(normal) == normal


# --- reading ----------------------------------------------------------------------------------------------


def test_an_entry_is_found_however_the_number_is_written(file: Path) -> None:
    """All of it arrives."""
    file.write_text(ENTRY)
    numbers = NumberList.load(file)
    for written in ("+441632960111", "01632960111", "0044 1632 960111"):
        assert numbers.lookup(written, TODAY) == LISTED
    assert numbers.entries == (LISTED,)
    assert numbers.languages == {"cy"}


def test_others_are_not_found(file: Path) -> None:
    """Nor is anybody without a number, whatever stands there instead."""
    file.write_text(ENTRY)
    numbers = NumberList.load(file)
    for other in ("+441632960112", "", "anonymous", "0111", None):
        assert numbers.lookup(other, TODAY) is None


def test_an_entry_holds_to_its_last_day(file: Path) -> None:
    """And not a day longer; it stays in the list to be seen."""
    file.write_text(ENTRY)
    numbers = NumberList.load(file)
    assert numbers.lookup("01632960111", date(2026, 11, 24)) == LISTED
    assert numbers.lookup("01632960111", date(2026, 11, 25)) is None
    assert len(numbers.entries) == 1


def test_only_the_necessary_is_necessary(file: Path) -> None:
    """Dates may be text, too."""
    file.write_text(
        '[[number]]\nnumber = "01632960111"\nkind = "vexatious"\nadded = "2026-01-01"\nadded_by = "x"\nuntil = "2027-01-01"\n'
    )
    assert NumberList.load(file).entries == (
        Listing(
            number="+441632960111",
            kind="vexatious",
            added=date(2026, 1, 1),
            added_by="x",
            until=date(2027, 1, 1),
        ),
    )


@pytest.mark.parametrize("text", ["", "# nobody yet\n"])
def test_an_empty_list(file: Path, text: str) -> None:
    """Knows nobody; so does one that is not there."""
    file.write_text(text)
    assert NumberList.load(file).entries == ()
    assert NumberList.load(file.with_name("none.toml")).entries == ()


SPOILED = [
    # replaced, by, line, key, part of the message
    ('"01632 960111"', '"960111x"', 2, "number.0.number", "whole telephone number"),
    ('"01632 960111"', '"101"', 2, "number.0.number", "whole telephone number"),
    ('"01632 960111"', "1632960111", 2, "number.0.number", "string"),
    ('number = "01632 960111"\n', "", 1, "number.0.number", "is missing"),
    ('kind = "vulnerable"\n', "", 1, "number.0.kind", "is missing"),
    ('kind = "vulnerable"', 'kind = "Very Vulnerable"', 3, "number.0.kind", "a-z"),
    ("until = 2026-11-24\n", "", 1, "number.0.until", "is missing"),
    ("until = 2026-11-24", 'until = "for ever"', 10, "number.0.until", "a date such as"),
    ("until = 2026-11-24", "until = 20261124", 10, "number.0.until", "a date such as"),
    ("until = 2026-11-24", "until = 2026-11-24T12:00:00", 10, "number.0.until", "a date such as"),
    ("until = 2026-11-24", "until = 2025-12-31", 10, "number.0.until", "before the day of adding"),
    ("assisted = true", 'assisted = "yes"', 6, "number.0.assisted", "boolean"),
    ('language = "cy"', 'language = "Welsh"', 5, "number.0.language", "code of a language"),
    ('"Ask for Mair"', '"Ask\\nfor Mair"', 7, "number.0.note", "one line"),
    ('"Ask for Mair"', f'"{"x" * 201}"', 7, "number.0.note", "at most 200"),
    ("assisted = true", "assistd = true", 6, "number.0.assistd", "Did you mean assisted?"),
    ("[[number]]", "[[numbers]]", 1, "numbers", "Did you mean number?"),
]


@pytest.mark.parametrize(("replaced", "by", "line", "key", "message"), SPOILED)
def test_a_bad_entry_is_named_by_file_line_and_key(
    file: Path, replaced: str, by: str, line: int, key: str, message: str
) -> None:
    """With what is right, and never with the number."""
    file.write_text(ENTRY.replace(replaced, by, 1))
    with pytest.raises(NumberListError) as refused:
        NumberList.load(file)
    (finding,) = refused.value.findings
    assert finding.where == f"{file}:{line}: {key}"
    assert message in str(finding)
    assert "960111" not in str(refused.value)


def test_a_number_stands_in_the_list_once(file: Path) -> None:
    """However it is written the second time."""
    file.write_text(ENTRY + ENTRY.replace("01632 960111", "+441632960111"))
    with pytest.raises(
        NumberListError, match=r"numbers\.toml:12: number\.1\.number: stands in the list already"
    ):
        NumberList.load(file)


@pytest.mark.parametrize("content", [b"[[number", b"\xff", b"number = 1\n"])
def test_what_is_no_list_is_named(file: Path, content: bytes) -> None:
    """Syntax, encoding, another shape."""
    file.write_bytes(content)
    with pytest.raises(NumberListError, match=r"numbers\.toml"):
        NumberList.load(file)


def test_unknown_classes_are_named_with_their_line(file: Path) -> None:
    """Against the classes of a configuration."""
    file.write_text("\n" + ENTRY)
    numbers = NumberList.load(file)
    assert numbers.unknown_classes({"vulnerable"}) == []
    (finding,) = numbers.unknown_classes({"standard"})
    assert finding.where == f"{file}:2: class"
    assert finding.mend == "Known: standard."


def test_no_representation_shows_a_number_or_a_note() -> None:
    """A listing in a traceback or a log gives nobody away."""
    shown = repr(LISTED) + str([LISTED])
    assert "960111" not in shown
    assert "Mair" not in shown
    assert LISTED.masked == "…111"


# --- changing ---------------------------------------------------------------------------------------------

OTHER = Listing(
    number="07700 900123",
    kind="repeat",
    note='says "no" \\ and é',
    added=TODAY,
    added_by="bryn",
    until=date(2027, 1, 1),
)
FILE = f"""\
# Kept by the welfare desk.

{ENTRY}
# of the neighbouring force
[[number]]
number = "01632960222"   # her sister's
kind = "assisted"
added = 2026-02-02
added_by = "bryn"
until = 2027-02-02
"""


def audited(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in audit_file(file).read_text().splitlines()]


def test_adding_keeps_every_other_entry_and_comment(file: Path) -> None:
    """The file grows at its end; what was taken is in E.164."""
    file.write_text(FILE)
    before = NumberList.load(file).entries
    taken = add(file, OTHER, NOW)
    assert taken == replace(OTHER, number="+447700900123")
    assert file.read_text().startswith(FILE)
    assert NumberList.load(file).entries == (*before, taken)


def test_adding_makes_the_file(file: Path) -> None:
    """For its owner only, its audit too."""
    add(file, LISTED, NOW)
    assert NumberList.load(file).entries == (LISTED,)
    for made in (file, audit_file(file)):
        assert stat.S_IMODE(made.stat().st_mode) == 0o600


def test_a_change_closes_a_file_that_stood_open(file: Path) -> None:
    """It holds personal data."""
    file.write_text(FILE)
    file.chmod(0o644)
    add(file, OTHER, NOW)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(("number", "left"), [("01632960111", "222"), ("+44 1632 960222", "111")])
def test_removing_keeps_every_other_entry_and_comment(file: Path, number: str, left: str) -> None:
    """First or last, however the number is written."""
    file.write_text(FILE)
    gone = remove(file, number, NOW)
    assert gone.number == normalise(number)
    assert [listing.masked for listing in NumberList.load(file).entries] == [f"…{left}"]
    assert "# Kept by the welfare desk." in file.read_text()
    assert "# of the neighbouring force" in file.read_text()
    assert "960111" not in file.read_text() or left == "111"


def test_added_and_removed_is_as_before(file: Path) -> None:
    """Entry by entry."""
    file.write_text(FILE)
    before = NumberList.load(file).entries
    add(file, OTHER, NOW)
    remove(file, OTHER.number, NOW)
    assert NumberList.load(file).entries == before


def test_the_last_entry_can_be_removed(file: Path) -> None:
    """And the list is empty."""
    file.write_text(ENTRY)
    remove(file, "01632960111", NOW)
    assert NumberList.load(file).entries == ()


def test_the_audit_says_who_when_and_what_and_no_number(file: Path) -> None:
    """One line for each change, in order; the notes are not in it either."""
    add(file, LISTED, NOW)
    add(file, OTHER, NOW)
    remove(file, LISTED.number, NOW)
    lines = audited(file)
    assert [(line["what"], line["number"], line["kind"]) for line in lines] == [
        ("added", "…111", "vulnerable"),
        ("added", "…123", "repeat"),
        ("removed", "…111", "vulnerable"),
    ]
    assert {line["at"] for line in lines} == {"2026-11-24T12:00:00.000+00:00"}
    assert all(line["by"] for line in lines)
    text = audit_file(file).read_text()
    assert not any(secret in text for secret in ("960111", "900123", "Mair", "says"))


def test_the_audit_names_who_became_root(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """sudo tells; what it cannot have said is not believed."""
    monkeypatch.setenv("SUDO_USER", "ann")
    add(file, LISTED, NOW)
    monkeypatch.setenv("SUDO_USER", "ann\nand others")
    remove(file, LISTED.number, NOW)
    first, second = (str(line["by"]) for line in audited(file))
    assert first == f"ann (as {second})"


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        (LISTED, "stands in the list already"),
        (replace(LISTED, number="01632 960111"), "stands in the list already"),
        (replace(OTHER, number="101"), "whole telephone number"),
        (replace(OTHER, kind="a b"), "a-z"),
        (replace(OTHER, until=date(2020, 1, 1)), "before the day of adding"),
        (replace(OTHER, note="two\nlines"), "one line"),
        (replace(OTHER, language="Welsh"), "code of a language"),
    ],
)
def test_what_cannot_be_added_changes_nothing(file: Path, listing: Listing, message: str) -> None:
    """Neither the list nor the audit, and no number is said."""
    file.write_text(FILE)
    with pytest.raises(NumberListError, match=message) as refused:
        add(file, listing, NOW)
    assert file.read_text() == FILE
    assert audit_file(file).read_text() == ""
    assert "960111" not in str(refused.value)


@pytest.mark.parametrize("number", ["01632960333", "101", ""])
def test_what_is_not_there_cannot_be_removed(file: Path, number: str) -> None:
    """And nothing changes."""
    file.write_text(FILE)
    with pytest.raises(NumberListError, match="does not stand in the list"):
        remove(file, number, NOW)
    assert (file.read_text(), audit_file(file).read_text()) == (FILE, "")


def test_a_broken_list_is_not_changed(file: Path) -> None:
    """It is a person's to mend."""
    file.write_text("[[number]]\n")
    with pytest.raises(NumberListError, match=r"number\.0\.number: is missing"):
        add(file, OTHER, NOW)
    assert file.read_text() == "[[number]]\n"


def test_a_list_written_in_another_way_is_not_changed_by_program(file: Path) -> None:
    """An array on one line cannot be added to."""
    entry = '{{ number = "{}", kind = "x", added = 2026-01-01, added_by = "a", until = 2027-01-01 }}'
    text = f"number = [{entry.format('01632960111')}, {entry.format('01632960222')}]\n"
    file.write_text(text)
    with pytest.raises(NumberListError):
        add(file, OTHER, NOW)
    with pytest.raises(NumberListError, match="Change it by hand"):
        remove(file, "01632960111", NOW)
    assert file.read_text() == text


def test_a_disk_that_refuses_leaves_the_old_list(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing half written, nothing left lying about."""
    file.write_text(FILE)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(NumberListError, match="No space left on device"):
        add(file, OTHER, NOW)
    assert file.read_text() == FILE
    assert sorted(path.name for path in file.parent.iterdir()) == ["numbers.audit.jsonl", "numbers.toml"]


def test_changes_at_the_same_time_are_all_kept(file: Path) -> None:
    """Eight people at once: the lock of the audit lets in one after the other."""
    listings = [replace(OTHER, number=f"0163296020{n}") for n in range(8)]
    threads = [threading.Thread(target=add, args=(file, listing, NOW)) for listing in listings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {listing.number for listing in NumberList.load(file).entries} == {
        normalise(listing.number) for listing in listings
    }
    assert len(audited(file)) == 8


def test_a_reader_never_sees_a_part(file: Path) -> None:
    """The file is replaced: who has the old one open keeps it whole."""
    file.write_text(FILE)
    with file.open() as old:
        add(file, OTHER, NOW)
        assert os.fstat(old.fileno()).st_ino != file.stat().st_ino
        assert old.read() == FILE


def test_an_audit_that_is_a_link_is_refused(file: Path, tmp_path: Path) -> None:
    """Nobody else's file is written to."""
    (tmp_path / "elsewhere").write_text("")
    audit_file(file).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NumberListError, match="cannot be changed"):
        add(file, OTHER, NOW)
    assert (tmp_path / "elsewhere").read_text() == ""
