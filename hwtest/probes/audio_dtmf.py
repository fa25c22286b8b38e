"""Probe 18: does every key that is pressed arrive, once, both ways?"""

from __future__ import annotations

import contextlib
from difflib import SequenceMatcher

from hwtest.probes.contract import Evidence, Explanation, Layer, Level, Need, Probe, Threshold
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.softphone.pair import pair_at
from hwtest.softphone.phone import SoftphoneCall

KEYS = "01234556789*0#"
"""Every key of a telephone, and one twice in a row: two, not one long."""
SECONDS_PER_KEY = 0.8
"""So long a key may take on the way until it counts as lost; pressing one takes about 0.3 s."""


async def measure(site: Site, sheet: Sheet) -> None:
    """One call; the caller presses every key, then the agent does."""
    async with pair_at(site) as (phones, number), phones.through(site, number) as conversation:
        for name, sender, listener in (
            ("caller", conversation.caller, conversation.callee),
            ("agent", conversation.callee, conversation.caller),
        ):
            site.say(f"the {name} presses every key")
            heard = await _pressed(sender, listener)
            _judge(sheet, name, heard, listener.call_id)


async def _pressed(sender: SoftphoneCall, listener: SoftphoneCall) -> str:
    await sender.send_digits(KEYS)
    with contextlib.suppress(TimeoutError):
        await listener.until(
            lambda: listener.ended or len(listener.digits) >= len(KEYS), SECONDS_PER_KEY * len(KEYS)
        )
    with contextlib.suppress(TimeoutError):  # one more would be one too many
        await listener.until(lambda: listener.ended or len(listener.digits) > len(KEYS), SECONDS_PER_KEY)
    return "".join(digit.digit for digit in listener.digits)


def _judge(sheet: Sheet, name: str, heard: str, call_id: str) -> None:
    right, extra = compared(KEYS, heard)
    evidence = (
        Evidence(text=f"pressed {' '.join(KEYS)}; arrived {' '.join(heard) or 'nothing'}", call_id=call_id),
    )
    sheet.share(f"arrived_from_{name}", right, len(KEYS), evidence=evidence)
    sheet.value(f"too_many_from_{name}", "keys", extra, n=len(KEYS), evidence=evidence)


def compared(pressed: str, heard: str) -> tuple[int, int]:
    """How many keys arrived in their order, and how many arrived that nobody pressed, or twice."""
    blocks = SequenceMatcher(None, pressed, heard, autojunk=False).get_matching_blocks()
    right = sum(block.size for block in blocks)
    return right, len(heard) - right


def _thresholds(who: str) -> tuple[Threshold, Threshold]:
    return (
        Threshold(
            figure=f"arrived_from_{who}",
            statistic="value",
            passes=100.0,
            warns=100.0,
            unit="%",
            clause="own: every key; RFC 4733 §2.5.1.4 sends the end of each three times so that none is lost",
            code="audio.dtmf.lost",
            at_least=True,
        ),
        Threshold(
            figure=f"too_many_from_{who}",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="keys",
            clause="own: none; RFC 4733 §2.5.1.3, packets of one time stamp are one event",
            code="audio.dtmf.doubled",
        ),
    )


PROBE = Probe(
    name="audio.dtmf",
    number=18,
    title="Every key arrives once",
    level=Level.SAFE,
    needs=frozenset({Need.SOFTPHONE}),
    seconds=25.0,
    term="DTMF as telephone events",
    reference="RFC 4733 §2 (telephone-event payload)",
    meaning=(
        "The menu, the emergency key and the call-back offer live by keys. A key that is lost, or counted twice, sends a caller "
        "the wrong way and cannot be seen in the signalling."
    ),
    thresholds=(*_thresholds("caller"), *_thresholds("agent")),
    explanations=(
        Explanation(
            code="audio.dtmf.lost",
            layer=Layer.SWITCH,
            meaning="Keys that were pressed did not arrive as telephone events.",
            caller_notices="The menu does not react; pressing the emergency key or accepting a call-back does nothing.",
            causes=(
                "the two sides do not agree on telephone-event: the endpoint's dtmf_mode is info or inband",
                "a feature code of the switch takes the key (one of the star or hash codes of features.conf)",
                "an intermediate gateway takes events out and sends tones, or drops them",
                "packet loss; then audio.quality shows it as well",
            ),
            confirm="asterisk -rx 'pjsip show endpoint NAME' | grep dtmf; asterisk -rx 'features show'; SDP: telephone-event",
            mend="Set dtmf_mode = rfc4733 on both endpoints, and take feature codes away that callers may press.",
        ),
        Explanation(
            code="audio.dtmf.doubled",
            layer=Layer.SWITCH,
            meaning="More keys arrived than were pressed, or others.",
            caller_notices="One press counts as two: the wrong choice is taken, a number is entered wrongly.",
            causes=(
                "a key is sent both as an event and as an audible tone, and something detects the tone as well",
                "events are regenerated with a new time stamp for each packet",
                "packets that were sent again late are taken for another press",
            ),
            confirm="tshark -Y rtpevent during one press: one time stamp; asterisk -rx 'core set debug 3 res_rtp_asterisk'",
            mend="Use one way only (rfc4733), and switch off in-band detection where events are used.",
        ),
    ),
    measure=measure,
)
