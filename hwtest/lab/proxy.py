"""A connection that can fail: between the daemon and the switch, for tests and for measuring what a fault costs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any


class Proxy:
    """A TCP connection in the test's hands, in a thread of its own: it can be cut, refused, stalled, or made deaf."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._refusing = False
        self._swallowed: bytes | None = None
        self._lost: bytes | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = self._do(self._listen())

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(5)

    async def _listen(self) -> int:
        self._questions, self._answers = asyncio.Event(), asyncio.Event()
        self._questions.set()
        self._answers.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._connections |= {writer, far_writer}
        try:
            await asyncio.gather(
                self._pump(reader, far_writer, self._questions), self._pump(far_reader, writer, self._answers)
            )
        finally:
            self._connections -= {writer, far_writer}

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, flow: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await flow.wait()
                if self._swallowed is not None and data.startswith(self._swallowed):
                    continue
                if self._lost is not None and self._lost in data:
                    self._lost = None
                    continue
                sink.write(data)
                await sink.drain()
        sink.transport.abort()

    def _call(self, act: Any, *arguments: object) -> None:
        async def run() -> None:
            act(*arguments)

        self._do(run())

    def cut(self) -> None:
        """End every connection and accept none."""
        self._call(self._cut)

    def _cut(self) -> None:
        self._refusing = True
        for writer in self._connections:
            writer.transport.abort()

    def stall(self) -> None:
        """Pass nothing on, in neither direction, and keep everything open."""
        self._call(self._questions.clear)
        self._call(self._answers.clear)

    def silence(self) -> None:
        """Pass on what the daemon says, and nothing of what it is told."""
        self._call(self._answers.clear)

    def swallow(self, beginning: bytes) -> None:
        """Take requests that begin so and answer nothing; everything else goes on."""
        self._swallowed = beginning

    def lose(self, word: bytes) -> None:
        """Lose the next packet that has this word, and nothing else."""
        self._lost = word

    def mend(self) -> None:
        """Begin afresh: what was held back is gone with its connection."""
        self._swallowed = None
        self._call(self._cut)
        self._call(self._questions.set)
        self._call(self._answers.set)
        self._refusing = False

    def close(self) -> None:
        """End it."""
        self._call(self._cut)
        self._call(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()
