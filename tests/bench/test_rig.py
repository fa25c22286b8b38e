"""The rig's stand-in for a capture: the phones' own stamps."""

from hwtest.bench.readings import answer_latencies, dispatch_latencies
from hwtest.bench.rig import PhonesWire
from hwtest.useragent import IncomingCall, UserAgent


async def test_phones_instead_of_a_capture() -> None:
    """Without a capture the phones' traces give the same records, and its drops are not measured."""
    async with UserAgent(user="caller") as caller, UserAgent(user="agent") as agent:
        wire = PhonesWire(5060)
        incoming = list[IncomingCall]()

        def take(call: IncomingCall) -> None:
            wire.watch(agent, call)
            incoming.append(call)
            call.answer()

        agent.on_invite = take
        uri = f"sip:agent@{agent.address[0]}:{agent.address[1]}"
        for number in ("07700900001", "07700900002"):
            call = caller.invite(uri, from_user=number, headers={"X-Edge-Call": number})
            wire.watch(caller, call)
            await call.answered(5)
            await incoming[-1].hang_up()
        taken = await wire.take()
        assert taken.dropped is None
        assert len(answer_latencies(taken.records, {caller.address[1]})) == 2
        assert len(dispatch_latencies(taken.records, {agent.address[1]})) == 1
        offers = [record for record in taken.records if record.edge_call]
        assert [(record.label, record.edge_call, record.from_user) for record in offers] == [
            ("INVITE", "07700900001", "07700900001"),
            ("INVITE", "07700900002", "07700900002"),
        ]
        assert (await wire.take()).records == []
