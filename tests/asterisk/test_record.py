"""Asterisk's own record: lines as they were written by the real 22.10.1, and everything that may become of them."""

from __future__ import annotations

import gzip
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.effects import ReadTrace
from edge.core.inputs import TracedCall, TraceRead
from edge.core.model import Phone, PhoneKind, Side
from edge.pbx.asterisk.record import files, translate, wire
from edge.ports import LedgerError
from tests.core.room import policy_of

SECOND = 1_000_000
AT = 1_795_698_820
"""When the first of the three callers below came, in seconds."""
POLICY = replace(
    policy_of("4001 101 999"),
    phones={
        "agent1": Phone(name="agent1"),
        "buddy": Phone(name="buddy", kind=PhoneKind.TRUNK, trunk="callee"),
    },
)
ASKED = ReadTrace(gap=1, from_utc_us=(AT - 10) * SECOND, until_utc_us=(AT + 20) * SECOND)


def mark_of(call_id: str, line: str, joined_ms: int, number: str = "07700900002", more: str = "") -> str:
    """What the dialplan writes on a caller's channel."""
    return f"{call_id}|{line}|{joined_ms}|allowed_not_screened|{number}{more}"


def event(
    kind: str, at: float, leg: str, name: str, *, app: str = "", field: str = "", extra: str = ""
) -> str:
    """A line of cel-custom/edge101.csv."""
    told = (kind, f"{at:.6f}", leg, leg, name, "", app, field, extra.replace('"', '""'))
    return ",".join(f'"{part}"' for part in told)


SERVED = mark_of("20261126T131340Z-9", "101-no-greeting", AT * 1000 + 796)
LOST_999 = mark_of("20261126T131340Z-10", "999", AT * 1000 + 800, "07700900003")
CALLER, AGENT, OTHER = "PJSIP/trunk-00000004", "PJSIP/agent1-00000007", "PJSIP/trunk-00000005"
BRIDGE = '{"bridge_id":"aca1a13f","bridge_technology":"simple_bridge"}'
EVENTS = [
    event("CHAN_START", AT + 0.796234, "a.9", CALLER),
    event("ANSWER", AT + 0.797230, "a.9", CALLER, app="Answer", field=SERVED),
    event("CHAN_START", AT + 0.800449, "a.10", OTHER),
    event("APP_START", AT + 1.497954, "a.9", CALLER, app="Queue", field=SERVED),
    event("APP_START", AT + 1.501883, "a.10", OTHER, app="Queue", field=LOST_999),
    event("HANGUP", AT + 1.805538, "a.10", OTHER, field=LOST_999, extra='{"hangupcause":127,"hangupsource":"' + OTHER + '"}'),
    event("CHAN_START", AT + 3.499089, "a.14", AGENT),
    event("ANSWER", AT + 3.513148, "a.14", AGENT, app="AppQueue"),
    event("BRIDGE_ENTER", AT + 3.513832, "a.14", AGENT, app="AppQueue", extra=BRIDGE),
    event("BRIDGE_ENTER", AT + 3.513953, "a.9", CALLER, app="Queue", field=SERVED, extra=BRIDGE),
    event("BRIDGE_EXIT", AT + 4.518272, "a.14", AGENT, app="AppQueue", extra=BRIDGE),
    event("HANGUP", AT + 4.519138, "a.9", CALLER, field=SERVED, extra='{"hangupcause":16,"hangupsource":"' + AGENT + '"}'),
    event("CHAN_END", AT + 4.519138, "a.9", CALLER, field=SERVED),
]  # fmt: skip
QUEUE = [
    f"{AT + 1}|a.9|edge-101|NONE|ENTERQUEUE||07700900002|1",
    f"{AT + 3}|a.9|edge-101|4001|CONNECT|2|a.14|0",
]


def record(directory: Path, events: list[str] | bytes | None = None, queue: list[str] | None = None) -> Path:
    """A log folder of Asterisk with these lines."""
    for folder in ("cel-custom", "cdr-custom"):
        (directory / folder).mkdir(exist_ok=True)
    if events is not None:
        whole = events if isinstance(events, bytes) else "".join(f"{line}\n" for line in events).encode()
        (directory / files.EVENTS_FILE).write_bytes(whole)
    if queue is not None:
        (directory / files.QUEUE_FILE).write_text("".join(f"{line}\n" for line in queue))
    return directory


def read(directory: Path, asked: ReadTrace = ASKED) -> TraceRead:
    """What is read of it."""
    return files.TraceFiles(str(directory), POLICY).read(asked)


def by_id(told: TraceRead) -> dict[str, TracedCall]:
    """Its calls."""
    return {call.call_id: call for call in told.calls}


def test_callers_of_a_real_record(tmp_path: Path) -> None:
    """Arrival, answer, fallback, talk and end to the microsecond, by whom, and who hung up."""
    told = read(record(tmp_path, EVENTS, QUEUE))
    assert (told.complete, told.detail) == (True, "")
    served, lost = by_id(told)["20261126T131340Z-9"], by_id(told)["20261126T131340Z-10"]
    assert (served.arrived_utc_us, served.answered_utc_us) == (AT * SECOND + 796_234, AT * SECOND + 797_230)
    assert (served.fallback_utc_us, served.connected_utc_us) == (
        AT * SECOND + 1_497_954,
        AT * SECOND + 3_513_953,
    )
    assert (served.ended_utc_us, served.side, served.agent) == (AT * SECOND + 4_519_138, Side.AGENT, "4001")
    assert (served.phone, served.line, served.caller_number) == ("agent1", "101-no-greeting", "07700900002")
    assert (lost.side, lost.answered_utc_us, lost.connected_utc_us) == (Side.CALLER, None, None)
    assert (lost.ended_utc_us, lost.upgraded) == (AT * SECOND + 1_805_538, False)


def test_without_the_queue_log_the_phone_tells(tmp_path: Path) -> None:
    """Who took the call is then found by where it was taken."""
    [served] = [call for call in read(record(tmp_path, EVENTS)).calls if call.connected_utc_us]
    assert (served.agent, served.phone) == (None, "agent1")


def test_an_upgraded_and_a_withheld_caller(tmp_path: Path) -> None:
    """The last mark on the channel counts."""
    upgraded = mark_of("c-1", "101", AT * 1000, more="|upgraded")
    withheld = "c-2|101|1795698820000|prohib_passed_screen|07700900009"
    told = by_id(
        read(
            record(
                tmp_path,
                [
                    event("ANSWER", AT, "a.1", CALLER, field=upgraded),
                    event("ANSWER", AT, "a.2", CALLER, field=withheld),
                ],
            )
        )
    )
    assert told["c-1"].upgraded
    assert (told["c-2"].caller_number, told["c-2"].number_withheld) == (None, True)


def test_what_is_not_there(tmp_path: Path) -> None:
    """No folder, no file, no record at all: said, and nothing raised."""
    assert "cannot be read" in read(tmp_path / "nowhere").detail
    assert "is not there" in read(record(tmp_path)).detail
    none = files.TraceFiles(None, POLICY).read(ASKED)
    assert (none.complete, none.calls) == (False, ())


DAMAGE = [
    b"\n",
    b'"HANGUP","17956',
    b'"HANGUP","never","a.9","a.9","x","","","",""\n',
    b"\xff\xfe\x00\x01\n",
    b'"ANSWER","1795698821.000000","a.9"\n',
    b'"a"b","1795698821.000000",' + b'"x",' * 6 + b'"\n',
    b"," * 5000 + b"\n",
    b'"' * 9000 + b"\n",
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_line_hides_no_other(tmp_path: Path, damage: bytes) -> None:
    """In the middle of the file: everything else is read, and it is said that the record is not whole."""
    lines = [f"{line}\n".encode() for line in EVENTS]
    spoiled = damage if damage.endswith(b"\n") else damage + b"\n"
    told = read(record(tmp_path, b"".join([*lines[:4], spoiled, *lines[4:]]), QUEUE))
    assert set(by_id(told)) == {"20261126T131340Z-9", "20261126T131340Z-10"}
    assert not told.complete
    assert "damaged" in told.detail


def test_the_last_line_is_being_written(tmp_path: Path) -> None:
    """Half a line at the end of the file is no damage."""
    whole = "".join(f"{line}\n" for line in EVENTS).encode()
    told = read(record(tmp_path, whole + EVENTS[0].encode()[:40], QUEUE))
    assert (told.complete, len(told.calls)) == (True, 2)


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_whatever_stands_in_the_files(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    """Random bytes in all three: nothing is raised, and no caller is made of them."""
    directory = record(tmp_path_factory.mktemp("any"))
    for name in (files.EVENTS_FILE, files.DETAILS_FILE, files.QUEUE_FILE):
        (directory / name).write_bytes(b"\n".join(lines))
    assert read(directory).calls == ()


@given(st.text(max_size=120))
def test_a_strangers_mark_is_none(text: str) -> None:
    """Only what our dialplan writes is a caller."""
    told = translate.mark(text)
    assert told is None or (text.count("|") >= 4 and told.joined_utc_us >= 0)


def test_hostile_values_in_sound_lines(tmp_path: Path) -> None:
    """Deep JSON, a number for a word, a line that does not exist, a name with a quote: no caller more and none less."""
    deep = "[" * 2000
    lines = [
        *EVENTS,
        event("HANGUP", AT + 5, "a.99", 'PJSIP/"x', field="c|NO LINE|1|x|y", extra=deep),
        event("BRIDGE_ENTER", AT + 5, "a.98", "x", extra='{"bridge_id":{"a":1}}'),
        event("HANGUP", AT + 5, "a.97", "x", extra='{"hangupcause":"99999999999999999999"}'),
    ]
    whole = "".join(f"{line}\n" for line in lines).replace('PJSIP/"x', 'PJSIP/""x').encode()
    assert len(read(record(tmp_path, whole, QUEUE)).calls) == 2


def test_a_rotated_file_is_read_too(tmp_path: Path) -> None:
    """The record was rotated in the gap: both parts are one. A compressed part is said not to have been read."""
    directory = record(tmp_path, EVENTS[6:], QUEUE)
    older = directory / f"{files.EVENTS_FILE}.1"
    older.write_text("".join(f"{line}\n" for line in EVENTS[:6]))
    os.utime(older, (AT + 3, AT + 3))
    os.utime(directory / files.EVENTS_FILE, (AT + 9, AT + 9))
    told = read(directory)
    assert (told.complete, by_id(told)["20261126T131340Z-9"].arrived_utc_us) == (True, AT * SECOND + 796_234)
    packed = directory / f"{files.EVENTS_FILE}.2.gz"
    packed.write_bytes(gzip.compress(b"x"))
    os.utime(packed, (AT, AT))
    assert "compressed" in read(directory).detail
    os.utime(packed, (AT - 100, AT - 100))  # rotated away before the gap
    assert read(directory).complete


def test_of_a_huge_file_only_the_gap_is_read(tmp_path: Path) -> None:
    """Days of other calls before and after: the beginning is found by halving, and the rest is left."""
    field = mark_of("c-0", "101", AT * 1000)
    before = [event("ANSWER", AT - 90_000 + n, f"b.{n}", CALLER, field=field) for n in range(80_000)]
    after = [event("ANSWER", AT + 60 + n, f"d.{n}", CALLER, field=field) for n in range(20_000)]
    told = read(record(tmp_path, [*before, *EVENTS, *after], QUEUE))
    assert (told.complete, set(by_id(told))) == (True, {"20261126T131340Z-9", "20261126T131340Z-10"})


def test_too_much_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is kept, and named."""
    monkeypatch.setattr(files, "MOST_BYTES", 600)
    told = read(record(tmp_path, EVENTS, QUEUE))
    assert not told.complete
    assert "more than" in told.detail


def test_who_stands_in_the_call_records_alone(tmp_path: Path) -> None:
    """The second witness: a caller whom the events lost is told all the same, from it, and the record is not whole."""
    directory = record(tmp_path, [], QUEUE)
    row = (
        "a.9",
        "a.9",
        CALLER,
        AGENT,
        f"{AT}.796234",
        f"{AT}.797230",
        f"{AT + 4}.518272",
        "ANSWERED",
        "Queue",
        SERVED,
    )
    (directory / files.DETAILS_FILE).write_text(",".join(f'"{part}"' for part in row) + "\n")
    told = read(directory)
    [call] = told.calls
    assert (call.source, call.agent, call.ended_utc_us) == ("CDR", "4001", (AT + 4) * SECOND + 518_272)
    assert call.connected_utc_us == (AT + 3) * SECOND
    assert not told.complete


def test_who_stands_in_the_queue_log_alone(tmp_path: Path) -> None:
    """It does not tell who they are: said, and no call is made up."""
    told = read(record(tmp_path, [], [QUEUE[0]]))
    assert (told.calls, told.complete) == ((), False)
    assert "queue_log alone" in told.detail


def test_who_is_known_is_looked_up(tmp_path: Path) -> None:
    """By the ledger; one that cannot be read makes no caller twice."""
    directory = record(tmp_path, EVENTS, QUEUE)
    known = files.TraceFiles(str(directory), POLICY, lambda _: {"20261126T131340Z-9"}).read(ASKED)
    assert {call.call_id for call in known.calls if call.known} == {"20261126T131340Z-9"}

    def broken(_: object) -> set[str]:
        raise LedgerError("locked")

    assert files.TraceFiles(str(directory), POLICY, broken).read(ASKED).calls == ()


def test_a_night_of_calls_comes_in_portions(tmp_path: Path) -> None:
    """Each a moment's work for the engine; the last one says how many there were."""
    [one, _] = read(record(tmp_path, EVENTS, QUEUE)).calls
    many = tuple(replace(one, call_id=f"c-{n}") for n in range(12))
    parts = list(files.portions(TraceRead(gap=1, calls=many, complete=True)))
    assert [(len(part.calls), part.more, part.calls_seen) for part in parts] == [
        (5, True, None),
        (5, True, None),
        (2, False, 12),
    ]
    assert tuple(call for part in parts for call in part.calls) == many


def test_lines_of_one_kind_are_rows() -> None:
    """And a line of one kind is no row of another."""
    assert wire.channel_event(EVENTS[0].encode()) is not None
    assert wire.call_detail(EVENTS[0].encode()) is None
    assert wire.queue_event(QUEUE[0].encode()) == wire.QueueEvent(
        (AT + 1) * SECOND, "a.9", "edge-101", "NONE", "ENTERQUEUE"
    )
