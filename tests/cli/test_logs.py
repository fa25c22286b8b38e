"""Where the log goes: nobody waits for it, whatever is the matter with it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from edge.logs import Unblocked

LINE = json.dumps({"event": "x" * 200}) + "\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for end in (reader, writer):
        with contextlib.suppress(OSError):
            os.close(end)


def everything(reader: int) -> list[str]:
    """What stands in the pipe, line by line."""
    os.set_blocking(reader, False)
    read = b""
    try:
        while part := os.read(reader, 1 << 20):
            read += part
    except BlockingIOError:
        pass
    return read.decode().splitlines()


def test_a_reader_who_does_not_read_costs_lines_and_nobody_waits(pipe: tuple[int, int]) -> None:
    """Ten times what the pipe holds is written without waiting; once it is read, the next line says how many were lost."""
    reader, writer = pipe
    stream = Unblocked(writer)
    for _ in range(3000):
        stream.write(LINE)
    lost = stream.lost
    read = everything(reader)
    assert lost > 0
    stream.write(LINE)
    told, last = everything(reader)[-2:]
    assert json.loads(told) == {"event": "log.lines_lost", "lines": lost, "level": "warning"}
    assert last + "\n" == LINE
    assert stream.lost == 0
    assert read.count(LINE.strip()) == 3000 - lost


def test_a_line_longer_than_a_chunk_is_torn_at_most_once(pipe: tuple[int, int]) -> None:
    """Half of it may stand there; the next line begins on a line of its own."""
    reader, writer = pipe
    stream = Unblocked(writer)
    while not stream.lost:
        stream.write("y" * 10_000 + "\n")
    everything(reader)
    stream.write(LINE)
    assert everything(reader)[-1] + "\n" == LINE


def test_a_reader_who_is_gone_ends_nothing(pipe: tuple[int, int]) -> None:
    """EPIPE is a line lost."""
    reader, writer = pipe
    os.close(reader)
    stream = Unblocked(writer)
    assert stream.write(LINE) == len(LINE)
    assert stream.lost == 1


def test_a_full_disk_ends_nothing() -> None:
    """ENOSPC is a line lost."""
    descriptor = os.open("/dev/full", os.O_WRONLY)
    stream = Unblocked(descriptor)
    stream.write(LINE)
    os.close(descriptor)
    assert stream.lost == 1


def test_lines_written_together_leave_in_order_and_whole(pipe: tuple[int, int]) -> None:
    """More than one chunk of them: nothing before the end, then all, each on a line of its own."""
    reader, writer = pipe
    stream = Unblocked(writer)
    lines = [json.dumps({"event": "x" * number}) for number in range(100)]
    with stream.together():
        for line in lines:
            stream.write(line + "\n")
        assert everything(reader) == []
    assert everything(reader) == lines


def test_lines_of_another_thread_are_not_held(pipe: tuple[int, int]) -> None:
    """Whoever watches the loop has its last word while the loop stands still."""
    reader, writer = pipe
    stream = Unblocked(writer)
    with stream.together():
        stream.write(LINE)
        watcher = Thread(target=stream.write, args=("the loop stands still\n",))
        watcher.start()
        watcher.join()
        assert everything(reader) == ["the loop stands still"]


def test_each_line_that_is_lost_together_is_counted(pipe: tuple[int, int]) -> None:
    """Nobody reads: what goes through and what is counted as lost are all."""
    reader, writer = pipe
    stream = Unblocked(writer)
    with stream.together():
        for _ in range(3000):
            stream.write(LINE)
    assert stream.lost > 0
    assert everything(reader).count(LINE.strip()) == 3000 - stream.lost


def test_what_fails_while_lines_are_held_loses_none(pipe: tuple[int, int]) -> None:
    """What was said before is what explains it."""
    reader, writer = pipe
    stream = Unblocked(writer)
    with pytest.raises(ZeroDivisionError), stream.together():
        stream.write(LINE)
        _ = 1 / 0
    assert [line + "\n" for line in everything(reader)] == [LINE]


def test_a_file_is_written_to(tmp_path: Path) -> None:
    """The everyday."""
    file = tmp_path / "log"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    stream = Unblocked(descriptor)
    stream.write(LINE)
    stream.write(LINE)
    os.close(descriptor)
    assert (file.read_text(), stream.lost) == (2 * LINE, 0)
