"""`edge mi`: the record for others, in a process of its own."""

from __future__ import annotations

import asyncio

import click
import structlog

from edge.cli import places

log = structlog.get_logger(__name__)


@click.command("mi")
def command() -> None:
    """Serve the pull API and the wallboard until stopped (SIGTERM). It reads the record, and no call depends on it.

    Address, port, certificate and limits stand in [mi]. Who may read gets a token by `edge tokens add`.
    """
    from edge import logs
    from edge.mi.application import create_app
    from edge.mi.server import Server, prepare_process
    from edge.mi.services import open_services
    from edge.version import VERSION

    site = places.configuration()
    logs.configure(site.log.level, site.log.format)
    log.info("starting", version=VERSION, site=site.site.name)
    services = open_services(site.ledger.url, site.mi, site, definitions=places.site().definitions)
    server = Server(create_app(services), site.mi)
    prepare_process()
    asyncio.run(server.run_until_stopped())
    log.info("stopped")
