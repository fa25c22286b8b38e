"""`edge rescue`: a small process of its own, beside the daemon and without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edge.cli.output import clean, emit, json_option
from edge.cli.places import RescueSite, rescue_site

if TYPE_CHECKING:
    from edge.pbx.asterisk.rescue import Report


@click.command("rescue")
@click.option(
    "--force", is_flag=True, help="Do not look whether a daemon serves them: move everybody who waits."
)
@json_option
def command(force: bool, as_json: bool) -> None:
    """Move callers whom nobody serves to the switch's own queue: 999 and upgraded first, then as they joined.

    Agents' phones that ring for nobody are released; conversations are left alone. With a daemon that serves its callers
    it does nothing: it watches for some seconds whether it does. Safe to repeat. Exit code 1: somebody could not be moved.
    """
    import asyncio

    from edge.liveness import daemon_pid

    site = rescue_site()
    pid = daemon_pid(site.ledger_url)
    report = asyncio.run(_rescue(site, at_once=force or pid is None))
    if as_json:
        emit(_document(report, pid, force))
    else:
        _show(report, pid, force)
    if report.failed:
        raise SystemExit(1)


async def _rescue(site: RescueSite, *, at_once: bool) -> Report:
    from edge.pbx.asterisk.ami.client import AmiClient
    from edge.pbx.asterisk.rescue import Rescue

    client = AmiClient(site.host, site.port, site.user, site.password, lambda _: None, "switch.rescue")
    try:
        await client.connect()
        return await Rescue(client, site.app, site.dead_men).run(at_once=at_once)
    finally:
        client.close()


def _document(report: Report, pid: int | None, force: bool) -> dict[str, Any]:
    return {
        "daemon": pid,
        "forced": force,
        "served": report.served,
        "conversations": report.talking,
        "failed": report.failed,
        "done": [
            {
                "call_id": each.call_id,
                "line": each.line or None,
                "emergency": each.emergency,
                "result": each.result.name.lower(),
                "detail": each.why or None,
            }
            for each in report.done
        ],
    }


def _show(report: Report, pid: int | None, force: bool) -> None:
    from edge.cli.output import console, table

    daemon = "is not running" if pid is None else f"runs (pid {pid})"
    click.echo(f"The daemon {daemon}{'; forced' if force else ''}.")
    if report.done:
        rows = [
            (each.call_id, each.line, "999" if each.emergency else "", each.result.value, each.why)
            for each in report.done
        ]
        console().print(table(("=call", "line", "emergency", "result", "detail"), rows))
    else:
        click.echo("Nobody is stranded.")
    click.echo(clean(f"left alone: {report.served} callers who are served, {report.talking} conversations"))
