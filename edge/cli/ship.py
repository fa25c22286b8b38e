"""`edge ship`: the ledger copied to a PostgreSQL database that appliances share."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from edge.cli import output
from edge.cli.places import ShipSite, ship_site
from edge.housekeeping import give_way

if TYPE_CHECKING:
    from edge.ship.shipping import Shipper
    from edge.ship.target import Progress, Target

    Wait = Callable[[float], bool]
    Told = Callable[[str, Progress, int], None]
    Make = Callable[[Wait, Told], Shipper]

WATCHED_SECONDS = 10.0
"""No wait is longer without a sign of life to the supervisor."""

to_option = click.option(
    "--to",
    metavar="URL",
    help="The database, such as postgresql+psycopg://edge101@db.example/edge101?sslmode=verify-full. [[ship] to]",
)


@click.group("ship", invoke_without_command=True)
@to_option
@click.option(
    "--name", help="This appliance's name in the database, one for each. [[ship] name, else the site's]"
)
@click.option("--once", is_flag=True, help="Ship what is there, and end. Exit code 1 at the first trouble.")
@click.option(
    "--replaced",
    is_flag=True,
    help="This ledger takes the place of the one that was shipped under the name until now.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 50_000),
    default=5000,
    show_default=True,
    help="Facts in one transaction at most.",
)
@output.json_option
@click.pass_context
def command(
    ctx: click.Context,
    to: str | None,
    name: str | None,
    once: bool,
    replaced: bool,
    batch: int,
    as_json: bool,
) -> None:
    """Copy the ledger to a PostgreSQL database that many appliances share, every fact once, until stopped (SIGTERM).

    The hash chain is checked on the way, and erasures are followed. Without the database, or without the ledger, it waits and
    goes on by itself; after a minute an alarm line says so. Exit code 78: a person must look first, such as when the chain
    does not hold or the ledger is not the one that was shipped.
    """
    if ctx.invoked_subcommand is not None:
        return
    from edge import logs
    from edge.version import VERSION

    give_way()
    place = ship_site(to, name)
    logs.configure("warning" if once else place.log_level, place.log_format)  # type: ignore[arg-type]  # checked there
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if once:
        _once(lambda wait, told: _shipper(place, replaced, batch, wait, told), _state(place), stop, as_json)
        return
    import structlog

    log = structlog.get_logger(__name__)
    log.info("ship.starting", version=VERSION, name=place.name)
    _serve(lambda wait, told: _shipper(place, replaced, batch, wait, told), _state(place), stop)
    log.info("ship.stopped")


@command.command("list")
@to_option
@output.json_option
def list_(to: str | None, as_json: bool) -> None:
    """Every ledger in the database, and how far it was shipped."""
    target = _open(ship_site(to, "-"))
    try:
        found = target.list()
    finally:
        target.close()
    if as_json:
        output.emit({"ledgers": [_ledger_json(each) for each in found]})
        return
    columns = ("=name", "=ledger", ">facts", ">erasures", "=shipped", "replaced")
    rows = [
        (
            each.name,
            each.ledger_id,
            each.position,
            each.erased,
            output.rfc3339(each.shipped_utc_us),
            "" if each.replaced_utc_us is None else output.rfc3339(each.replaced_utc_us),
        )
        for each in found
    ]
    output.console().print(output.table(columns, rows))


def _ledger_json(each: Any) -> dict[str, Any]:
    return {
        "ledger_id": each.ledger_id,
        "name": each.name,
        "facts": each.position,
        "erasures": each.erased,
        "shipped": output.rfc3339(each.shipped_utc_us),
        "replaced": None if each.replaced_utc_us is None else output.rfc3339(each.replaced_utc_us),
    }


def _open(place: ShipSite) -> Target:
    from edge.ship.target import Target

    return Target(place.to, place.password)


def _shipper(place: ShipSite, replaced: bool, batch: int, wait: Wait, told: Told) -> Shipper:
    from edge.ship.shipping import Shipper, Source

    return Shipper(
        Source(place.ledger_url, place.name, replaced), lambda: _open(place), wait, told, batch=batch
    )


def _state(place: ShipSite) -> Told:
    """What notes beside the ledger how far it was shipped. Retention takes the note for one about the configuration's database:
    of another, named on the command line, none is written."""
    from edge.ship.state import StateFile

    return (
        StateFile(place.ledger_url).tell if place.configured else lambda _ledger_id, _progress, _behind: None
    )


def _once(make: Make, state: Told, stop: threading.Event, as_json: bool) -> None:
    shipper = make(stop.wait, state)
    try:
        progress = shipper.run_until_level()
    finally:
        shipper.close()
    if as_json:
        output.emit(
            {
                "position": progress.head.sequence,
                "hash": progress.head.hash,
                "erasures": progress.erased,
                "audit": progress.audit,
            }
        )
    else:
        click.echo(f"level: {progress.head.sequence} facts, {progress.erased} erasures")


def _serve(make: Make, state: Told, stop: threading.Event) -> None:
    from edge.notify import Supervisor

    supervisor = Supervisor.of_this_process()

    def wait(seconds: float) -> bool:
        """So long, with signs of life."""
        while True:
            supervisor.alive()
            some = min(seconds, WATCHED_SECONDS)
            if stop.wait(some):
                return True
            seconds -= some
            if seconds <= 0:
                return False

    def told(ledger_id: str, progress: Progress, behind: int) -> None:
        state(ledger_id, progress, behind)
        supervisor.status(f"{progress.head.sequence} facts shipped, {behind} behind")

    shipper = make(wait, told)
    supervisor.ready()
    try:
        shipper.run()
    finally:
        supervisor.stopping()
        shipper.close()
