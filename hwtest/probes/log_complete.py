"""Probe 27: is every call of the wire in the record, once, in an unbroken sequence whose hashes hold?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing

from edge.core.facts import Entry, LedgerTroubleBegan
from edge.ledger.chain import Verification, verify_chain
from edge.ledger.store import open_reader
from edge.ports import LedgerError
from hwtest.probes.contract import (
    Evidence,
    Explanation,
    Layer,
    Level,
    Need,
    NotMeasuredError,
    Probe,
    Threshold,
    Verdict,
)
from hwtest.probes.sheet import Sheet
from hwtest.record.calls import Told, Trial, compare, match, place, rung_by_switch_alone
from hwtest.record.reading import opened, settled
from hwtest.site import Site
from hwtest.target import Target

CALLS, LIVE_CALLS = 12, 6
RECORD_SECONDS = 5.0
MOST_FACTS = 500_000
"""A longer chain is not recomputed within a probe: `edge ledger verify` takes as long as it takes."""


async def measure(site: Site, sheet: Sheet) -> None:
    """Test calls of every course, what the record holds of them, its sequence, and its hashes."""
    async with opened(site.target) as record:
        before = await record.last_sequence()
        trials = await place(site, CALLS if site.target.is_lab else LIVE_CALLS)
        entries = await settled(record, before, sum(trial.rung for trial in trials), RECORD_SECONDS)
    sheet.note(f"The record was read by {record.words}.")
    judge(sheet, trials, entries, before)
    site.say("recomputing the chain of hashes")
    await _chain(sheet, site.target)


def judge(sheet: Sheet, trials: Sequence[Trial], entries: Sequence[Entry], before: int) -> None:
    """`before`: the sequence after which `entries` begin."""
    for entry in entries:  # first, as what is missing then is missing for this
        if isinstance(entry.fact, LedgerTroubleBegan):
            words = f"the daemon could not write its record at once: {entry.fact.detail}"
            sheet.find(
                "log.complete.trouble",
                Verdict.FAIL,
                words,
                Evidence(text=f"fact {entry.sequence}, LedgerTroubleBegan"),
            )
    _calls(sheet, match(trials, entries), entries)
    _sequence(sheet, [entry.sequence for entry in entries], before)


def _calls(sheet: Sheet, told: Sequence[Told], entries: Sequence[Entry]) -> None:
    reached = [one for one in told if one.trial.invited_ns is not None]
    alone = [one for one in reached if rung_by_switch_alone(one.trial)]
    if alone:
        words = f"{len(alone)} of {len(reached)} calls rang the phone without the daemon: the switch served them by itself"
        proof = Evidence(text="the phone's INVITE has no X-Edge-Call", call_id=alone[0].trial.sip_call_id)
        sheet.find("log.complete.alone", Verdict.FAIL, words, proof)
    served = [one for one in reached if one not in alone]
    whole = [one for one in served if one.calls == 1 and not _lacks(one)]
    still = bool(served) and not entries
    if still:
        words = f"the daemon served {len(served)} calls, and not one new fact can be read"
        sheet.find("log.complete.still", Verdict.FAIL, words, _missing(served))
    lost = [one for one in served if one not in whole]
    proof = _missing(lost) if lost else Evidence(text="every call is there")
    sheet.value("calls_twice", "calls", sum(one.calls > 1 for one in served), n=len(served), evidence=[proof])
    note = "of those that the daemon served; arrival, offer, answer and end, each once"
    if still:
        note += "; judged as a record that stands still"
        sheet.value("calls_recorded_so_far", "calls", 0, n=len(served), note=note)
    else:
        sheet.share("calls_recorded", len(whole), len(served), note=note, evidence=[proof])


def _lacks(one: Told) -> list[str]:
    return [f"{c.kind} of {one.trial.course}" for c in compare([one]).values() if c.missing or c.extra]


def _missing(lost: Sequence[Told]) -> Evidence:
    lacks = "; ".join(lack for one in lost[:3] for lack in (_lacks(one) or ["the call"]))
    return Evidence(text=f"without a fact for: {lacks}", call_id=lost[0].trial.sip_call_id)


def _sequence(sheet: Sheet, sequences: Sequence[int], before: int) -> None:
    gaps = [
        (earlier, later)
        for earlier, later in zip([before, *sequences], sequences, strict=False)
        if later != earlier + 1
    ]
    places = ", ".join(f"{later} after {earlier}" for earlier, later in gaps[:5]) or "none"
    sheet.value(
        "sequence_breaks",
        "places",
        len(gaps),
        n=len(sequences),
        note="where a fact does not follow the one before by one",
        evidence=[Evidence(text=places)],
    )


async def _chain(sheet: Sheet, target: Target) -> None:
    if target.ledger is None:
        sheet.note(
            "The hashes were not recomputed: the pull API leaves out the salts that they need, and this machine cannot read the "
            "ledger. On the appliance: edge ledger verify."
        )
        return
    try:
        found = await asyncio.to_thread(_verify, target.ledger)
    except LedgerError as error:
        raise NotMeasuredError(f"the ledger cannot be read: {error}", "edge ledger verify") from None
    if found is None:
        sheet.note(
            f"The ledger has more than {MOST_FACTS} facts: its hashes are checked by edge ledger verify."
        )
        return
    sheet.value("facts_verified", "facts", found.count, note="recomputed from the first fact on")
    if not found.sound:
        words = f"the chain of hashes does not hold: {found.explanation}"
        told = Evidence(text=f"{found.damage} at fact {found.broken_at}, {found.count} facts hold before it")
        sheet.find("log.complete.broken", Verdict.FAIL, words, told)


def _verify(url: str) -> Verification | None:
    with closing(open_reader(url)) as reader:
        return verify_chain(reader) if reader.last_sequence() <= MOST_FACTS else None


PROBE = Probe(
    name="log.complete",
    number=27,
    title="Every call is in the record, once, and nothing was taken out of it",
    level=Level.SAFE,
    needs=frozenset({Need.CAPTURE, Need.RECORD}),
    seconds=15.0,
    term="completeness and integrity of the record",
    reference="own; RFC 6076 §4.9 (which sessions count as complete)",
    meaning=(
        "A call that is not in the record never happened, for figures, for complaints and in court. Calls of every course are "
        "placed and looked for, each once, and the chain of hashes shows whether anything was changed or removed."
    ),
    thresholds=(
        Threshold(
            figure="calls_recorded",
            statistic="value",
            passes=100.0,
            warns=100.0,
            unit="%",
            clause="own",
            code="log.complete.missing",
            at_least=True,
        ),
        Threshold(
            figure="calls_twice",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="calls",
            clause="own",
            code="log.complete.twice",
        ),
        Threshold(
            figure="sequence_breaks",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="places",
            clause="own; docs/adr/0004-ledger.md",
            code="log.complete.broken",
        ),
    ),
    explanations=(
        Explanation(
            code="log.complete.missing",
            layer=Layer.RECORD,
            meaning="The daemon served a call, and what happened in it does not stand in the record, or not all of it.",
            caller_notices="Nothing at once. Nobody can say later how long they waited or who spoke with them.",
            causes=(
                "facts were removed from the ledger by hand",
                "the record could not be written while the call went on (look for LedgerTroubleBegan)",
                "the daemon ended within the call and came back after it: a gap, which `edge gaps` shows",
            ),
            confirm="edge ledger verify; edge gaps; edge calls",
            mend="Stop using the ledger's file by hand; keep a copy of it as it is; restore the last backup that verifies.",
        ),
        Explanation(
            code="log.complete.twice",
            layer=Layer.RECORD,
            meaning="One call stands in the record as several.",
            caller_notices="Nothing. Figures count more calls than there were.",
            causes=(
                "the daemon took up a call as new that it knew already",
                "two daemons serve one switch, and both write",
            ),
            confirm="edge calls; edge why CALL",
            mend="Report it with the bundle of this run to those who maintain the daemon.",
        ),
        Explanation(
            code="log.complete.alone",
            layer=Layer.DAEMON,
            meaning="The switch's own dialplan served the call: the daemon was not there, or did not react.",
            caller_notices="The survivable greeting and a simple queue: no order by urgency, no call-back.",
            causes=(
                "the daemon does not run, or it hangs",
                "its links to the switch are cut (ctl.link)",
                "the dialplan does not hand calls over to it: a wrong application's name, or a changed extension",
            ),
            confirm="edge status; systemctl status edge101; hwtest run ctl.link",
            mend="Restart the daemon (systemctl restart edge101); install the generated dialplan again and reload it.",
        ),
        Explanation(
            code="log.complete.still",
            layer=Layer.HOST,
            meaning="The daemon serves calls, and nothing new arrives in the record: it cannot be written, or not be read.",
            caller_notices="Nothing: calls go on from memory. If the daemon ends before the disk is mended, the record is lost.",
            causes=(
                "the disk is full, or a quota is",
                "the file system has become read-only after an error",
                "another program holds the ledger's lock",
            ),
            confirm="df -h; dmesg | tail; edge status (alarm: ledger)",
            mend="Make room or mend the disk; the daemon writes what it has kept by itself. Do not restart it before that.",
        ),
        Explanation(
            code="log.complete.trouble",
            layer=Layer.HOST,
            meaning="The record could not be written for a while, or only slowly; what happened meanwhile was written later.",
            caller_notices="Nothing: calls go on from memory.",
            causes=(
                "a slow disk: its fsync takes hundreds of milliseconds",
                "the disk was full for a while",
                "another program held the ledger's lock (a backup that copies the file itself)",
            ),
            confirm="edge status; iostat -x 1; df -h",
            mend="Put the ledger on a disk of its own with a fast fsync; make backups by edge ledger backup.",
        ),
        Explanation(
            code="log.complete.broken",
            layer=Layer.RECORD,
            meaning="Something in the record was changed, moved or taken out after it was written.",
            caller_notices="Nothing at all: it is about what happened earlier.",
            causes=(
                "somebody or some program changed the ledger's file",
                "an older copy was restored over it",
                "a disk that lost what it had confirmed",
            ),
            confirm="edge ledger verify",
            mend="Keep the file as evidence; restore the last backup that verifies; find out who had access.",
        ),
    ),
    measure=measure,
)
