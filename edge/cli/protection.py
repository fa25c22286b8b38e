"""`edge ledger retain`, `subject` and `audit`: data protection beside erasing."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.cli import Failure, output
from edge.cli.places import RetentionSite, reading, retention_site, site
from edge.cli.set_aside import set_aside_json, set_aside_lines

if TYPE_CHECKING:
    from edge.ledger.maintenance import Warrant
    from edge.ledger.store import Erasure, SqlReader
    from edge.protection.acknowledged import Everybody
    from edge.protection.retention import Plan, Retention
    from edge.protection.subject import Subject

FROM_INPUT = "-"
NUMBER_LIKE = re.compile(r"(?:\d[ ().-]*){9}")
"""Nine digits in a row: a whole number has them. Dates and references by parts have not."""


class Why(click.ParamType[str]):
    """A reason, for the audit: it outlives what is erased, so no number may stand in it."""

    name = "text"
    _longest = 200

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text as it is."""
        written = str(value).strip()
        if not written.isprintable() or not 1 <= len(written) <= self._longest:
            self.fail(f"must be 1 to {self._longest} printable characters on one line", param, ctx)
        if NUMBER_LIKE.search(written):
            self.fail(
                "must not have a telephone number in it: the audit is never erased. Name a reference",
                param,
                ctx,
            )
        return written


def why_option(function: output.F) -> output.F:
    """`--why`."""
    return click.option(
        "--why",
        type=Why(),
        required=True,
        metavar="TEXT",
        help="Such as the request's reference. It stands in the audit for good.",
    )(function)


def warrant(why: str) -> Warrant:
    """In the name of the user of the system."""
    from edge.cli.telling import user
    from edge.ledger.maintenance import Warrant

    return Warrant(user(), why)


def number_given(written: str) -> str:
    """The number, from the standard input for `-`. Raises `click.BadParameter`, without the number, for what is none."""
    from edge.numbering import comparable

    number = comparable((sys.stdin.readline(200) if written == FROM_INPUT else written).strip())
    if not number:
        raise click.BadParameter('it is no whole telephone number such as "+441632960001" or "01632 960001"')
    return number


@click.command("retain")
@click.option("--apply", "applied", is_flag=True, help="Erase. Without it nothing is changed.")
@output.json_option
def retain(applied: bool, as_json: bool) -> None:
    """Erase callers' data that has been kept for as long as [retention] says; without --apply only say what that would be.

    Never what is open, under a legal hold, or what a reader of `edge mi` (and the shared database, with [ship]) has not got.
    Lines of the log of disclosures go too, [retention] disclosures_days after the pull, but none while there is any legal hold.
    """
    from edge.ledger.store import open_for_maintenance
    from edge.mi.places import directory_of
    from edge.protection.disclosed import erase_disclosures, older_disclosures
    from edge.protection.retention import DAY_US, Plan, apply, due
    from edge.protection.set_aside import files_of

    found = retention_site()
    now_utc_us = output.now().utc_us
    log, days = directory_of(site().ledger_url, site().mi_directory), found.rules.disclosures_days
    with reading(site().ledger_url) as reader:
        everybody, rules = _rules(found, reader)
        files = files_of(site().ledger_url, reader)
        keeps_log = not days or site().is_other or reader.holds()
        before_utc_us = 0 if keeps_log else now_utc_us - days * DAY_US
        lines = older_disclosures(log, before_utc_us)
        plan = Plan()
        if not applied:
            for _ in due(reader, rules, now_utc_us, plan):
                pass
    erased: Erasure | None = None
    if applied:
        ledger = open_for_maintenance(site().ledger_url)
        try:
            plan, erased = apply(ledger, rules, now_utc_us, warrant("retention"))
            lines = erase_disclosures(log, before_utc_us, ledger, warrant("retention"))
        finally:
            ledger.close()
    if as_json:
        output.emit(
            {
                **_plan_json(plan, rules, everybody, erased),
                "disclosures": {"days": days, "lines": lines},
                "set_aside": set_aside_json(files),
            }
        )
        return
    _show_plan(plan, rules, everybody)
    for line in set_aside_lines(files):
        click.echo(line)
    if erased is None:
        click.echo(
            f"Nothing was changed; --apply erases the data of {_erasing(plan)} calls and {lines} lines of the log of disclosures."
        )
    else:
        click.echo(f"{lines} lines of the log of disclosures erased")
        click.echo(f"personal data of {erased.facts} facts erased")
        if erased.lingers:
            click.echo(f"NOT YET gone from every file: {erased.lingers}")


def everybody_of(found: RetentionSite, reader: SqlReader) -> Everybody:
    """Who has the record, and how far."""
    from edge.mi.places import directory_of
    from edge.protection.acknowledged import everybody_has

    url = site().ledger_url
    mi_directory = directory_of(url, site().mi_directory)
    return everybody_has(reader, url, mi_directory, found.rules.readers, shipped=found.shipped)


def _rules(found: RetentionSite, reader: SqlReader) -> tuple[Everybody, Retention]:
    from edge.protection.records import RecordClass
    from edge.protection.retention import Retention

    kept, everybody = found.rules, everybody_of(found, reader)
    days = {each: getattr(kept, f"{each.value}_days") for each in RecordClass}
    return everybody, Retention(days=days, through=everybody.through, emergency_lines=found.emergency_lines)


def _erasing(plan: Plan) -> int:
    from edge.protection.retention import Verdict

    return sum(counts[Verdict.ERASE] for counts in plan.counts.values())


def _plan_json(plan: Plan, rules: Retention, everybody: Everybody, erased: Erasure | None) -> dict[str, Any]:
    return {
        "applied": erased is not None,
        "acknowledged_through": everybody.through,
        "classes": [
            {
                "class": name.value,
                "days": rules.days[name],
                "calls": {verdict.name.lower(): count for verdict, count in counts.items()},
            }
            for name, counts in plan.counts.items()
        ],
        "facts": plan.facts,
        "purged": None if erased is None else erased.purged,
    }


def _show_plan(plan: Plan, rules: Retention, everybody: Everybody) -> None:
    from edge.protection.retention import Verdict

    rows = [
        (name.value, rules.days[name] or "for ever", *(counts[verdict] for verdict in Verdict))
        for name, counts in plan.counts.items()
    ]
    columns = ("class", ">days", *(f">{verdict.value}" for verdict in Verdict))
    output.console().print(output.table(columns, rows))
    for line in everybody.told:
        click.echo(output.clean(line))


@click.command("subject", context_settings={"ignore_unknown_options": True})
@click.argument("number", metavar="NUMBER")
@click.option(
    "--out",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="To be read; the same for programs is written beside it, with .json behind its name.",
)
@why_option
def subject(number: str, file: Path, why: str) -> None:
    """Write down everything that is held about one number, for its owner: a subject access request.

    `-` reads the number from the standard input, so that it stands in no shell history. Other people's data in the same calls is
    masked. The files are readable by this user only, and this disclosure stands in the audit.
    """
    from edge.ledger.store import open_for_maintenance
    from edge.protection.subject import held_about

    wanted = number_given(number)
    url = site().ledger_url
    beside = file.with_name(file.name + ".json")
    with reading(url) as reader:
        found = held_about(reader, wanted)
        ledger_id = reader.ledger_id
    ledger = open_for_maintenance(url)
    try:
        with ledger.maintenance() as maintenance:
            maintenance.note(warrant(why), "subject access", calls=[call["call_id"] for call in found.calls])
    finally:
        ledger.close()
    listed, given = _listed(wanted), _given_to(url, found)
    document = {
        "number": wanted,
        "ledger_id": ledger_id,
        "calls": found.calls,
        "tasks": found.tasks,
        "number_list": listed,
        "disclosures": given,
    }
    _write(beside, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    _write(file, "\n".join(_lines(found, listed, given)) + "\n")
    click.echo(f"{len(found.calls)} calls, {len(found.tasks)} ring-back tasks: {file} and {beside.name}")


def _listed(number: str) -> dict[str, Any] | None:
    """What the force's list of known numbers says of it."""
    from edge.directory import NumberList, NumberListError

    path = site().number_list
    if path is None or not path.exists():
        return None
    try:
        entries = NumberList.load(path).entries
    except NumberListError as error:
        raise Failure(str(error), 1) from error
    return next(
        (
            {
                "kind": each.kind,
                "class": each.priority_class,
                "language": each.language,
                "assisted": each.assisted,
                "note": each.note,
                "added": each.added.isoformat(),
                "until": each.until.isoformat(),
            }
            for each in entries
            if each.number == number
        ),
        None,
    )


def _write(file: Path, text: str) -> None:
    """For this user only; a file that is there is not written over."""
    try:
        opened = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}; name another file") from error
    with os.fdopen(opened, "w", encoding="utf-8") as written:
        written.write(text)


def _given_to(url: str, found: Subject) -> list[dict[str, Any]]:
    """Whom `edge mi` gave any of it to."""
    from edge.mi.places import directory_of
    from edge.protection.disclosed import disclosed

    facts = [fact for call in found.calls for fact in call["facts"]]
    if not facts:
        return []
    sequences = [fact["sequence"] for fact in facts]
    return list(disclosed(directory_of(url, site().mi_directory), sequences, min(f["utc_us"] for f in facts)))


def _lines(found: Subject, listed: dict[str, Any] | None, given: list[dict[str, Any]]) -> list[str]:
    lines = [f"Everything that is held about the number {found.number}", ""]
    lines.append(f"{len(found.calls)} calls, {len(found.tasks)} ring-back tasks.")
    if listed is not None:
        lines += ["", "In the force's list of known numbers:"]
        lines += [f"  {name}: {output.clean(value)}" for name, value in listed.items() if value]
    for call in found.calls:
        whose = "from this number" if call["number_is_the_callers"] else "with this number in it"
        lines += ["", f"Call {call['call_id']}, {whose}"]
        lines += [
            f"  {output.rfc3339(line['utc_us'])}  {output.clean(line['what'])} ({output.clean(line['why'])})"
            for line in call["story"]
        ]
        lines += _data(call["facts"])
    for task in found.tasks:
        lines += ["", f"Ring-back task {task['task_id']}"]
        lines += [
            f"  {output.rfc3339(fact['utc_us'])}  {fact['kind']}: "
            + output.clean(", ".join(f"{name} {value}" for name, value in fact["fields"].items() if value))
            for fact in task["facts"]
        ]
    if given:
        lines += ["", "Given to:"]
    for each in given:
        sure = "" if each["certain"] else ", possibly"
        purpose = f" for: {output.clean(each['purpose'])}" if each["purpose"] else ""
        lines.append(
            f"  {output.rfc3339(each['utc_us'])}  {output.clean(each['reader'])} ({each['resource']}){sure}{purpose}"
        )
    return lines


def _data(facts: list[dict[str, Any]]) -> list[str]:
    from edge.core.facts import KINDS, personal_fields

    kept = [
        f"    {fact['kind']}, {name}: {output.clean(value)}"
        for fact in facts
        for name in personal_fields(KINDS[fact["kind"]])
        if (value := fact["fields"][name]) is not None
    ]
    return ["  Data of persons in it:", *kept] if kept else []


@click.command("audit")
@output.json_option
def audit(as_json: bool) -> None:
    """Who did what to the record beside writing facts, when and why. Exit code 1 when somebody has changed the audit itself."""
    with reading(site().ledger_url) as reader:
        entries, fault = list(reader.audit()), reader.verify_audit()
    if as_json:
        output.emit(
            {
                "sound": fault is None,
                "explanation": fault,
                "entries": [
                    {
                        "number": each.number,
                        "at": output.rfc3339(each.utc_us),
                        "who": each.who,
                        "what": each.what,
                        "why": each.why,
                        "detail": json.loads(each.detail),
                    }
                    for each in entries
                ],
            }
        )
    else:
        rows = [
            (each.number, output.rfc3339(each.utc_us), each.who, each.what, each.why, each.detail)
            for each in entries
        ]
        output.console().print(output.table((">no", "=when", "=who", "=what", "why", "detail"), rows))
        if fault is not None:
            click.echo(f"BROKEN: {fault}")
    if fault is not None:
        raise SystemExit(1)
