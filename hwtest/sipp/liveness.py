"""Does the switch still answer? One OPTIONS, the smallest thing that it can answer."""

from __future__ import annotations

import asyncio
import contextlib

from hwtest.lab.contract import Address
from hwtest.useragent import TraceEntry, UserAgent
from hwtest.useragent.dialog import Dialog, new_tag

ANSWER_SECONDS = 2.0


async def answers(agent: UserAgent, address: Address) -> float | None:
    """Milliseconds from the first OPTIONS to its answer; None without one in time."""
    uri, tag = f"sip:{address.host}:{address.port}", new_tag()
    dialog = Dialog(
        call_id=f"{tag}-alive",
        local=f"<sip:{agent.user}@{agent.address[0]}:{agent.address[1]}>;tag={tag}",
        local_tag=tag,
        remote=f"<{uri}>",
        target=uri,
        contact=agent.contact,
    )
    trace = list[TraceEntry]()
    request = dialog.request("OPTIONS", agent.new_via(), [("Accept", "application/sdp")])
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_SECONDS):
            await agent.exchange(request, uri, trace)
    sent = [entry for entry in trace if entry.direction == "sent"]
    received = [entry for entry in trace if entry.direction == "received"]
    return (received[0].monotonic_ns - sent[0].monotonic_ns) / 1e6 if sent and received else None
