"""The wallboard of a site: the live fold, sessions and pages over the services that all of MI shares."""

from __future__ import annotations

from functools import partial
from zoneinfo import ZoneInfo

from edge.config import Configuration
from edge.config.sections import SiteSection
from edge.mi.disclosures import Disclosure
from edge.mi.problems import ProblemError
from edge.mi.security import identify
from edge.mi.services import Services
from edge.mi.tokens import Token
from edge.mi.wallboard.access import Sessions, Visitor
from edge.mi.wallboard.feed import Feed
from edge.mi.wallboard.live import Live, Site
from edge.mi.wallboard.routes import Board, NotLetInError
from edge.mi.wallboard.signs import OwnWord, Signs, daemon_state, disk_of, nothing_said
from edge.views.reading import whole_call

RESOURCE = "wallboard/calls"
"""Under which looking at a call stands in the log of disclosures."""
STREAM = "wallboard/stream"
"""And looking at the open calls one by one, without anybody's number: once for each time that it was begun."""


def board_of(services: Services) -> Board:
    """Nothing is read yet: that begins with the feed."""
    site = site_of(services.configuration)
    return Board(
        feed=Feed(Live(services.reader, site, signs_of(services))),
        site=site,
        sessions=Sessions(lambda token_id: _visitor(services.tokens.valid(token_id))),
        let_in=partial(_let_in, services),
        read_call=lambda call_id: whole_call(services.reader(), call_id),
        key=services.caller_key,
        disclose=partial(_disclose, services),
        is_secure=services.settings.certificate_file is not None,
    )


def site_of(configuration: Configuration | None) -> Site:
    """What the wallboard needs of it; without one, what the record itself tells."""
    if configuration is None:
        zone = ZoneInfo(SiteSection.model_fields["timezone"].default)
        return Site(name="Edge101", zone=zone, targets={})
    queues, lines = configuration.queues, configuration.lines.values()
    return Site(
        name=configuration.site.name,
        zone=ZoneInfo(configuration.site.timezone),
        targets={name: queue.target_seconds for name, queue in queues.items()},
        shares={name: queue.target_share for name, queue in queues.items()},
        emergency=frozenset(line.queue for line in lines if line.tier == "999"),
        classes=tuple(configuration.classes),
        agents={number: agent.name for number, agent in configuration.agents.items()},
    )


def signs_of(services: Services) -> Signs:
    """Of this machine."""
    boot_id = services.clock.boot_id()
    port = None if services.configuration is None else services.configuration.daemon.metrics_port
    return Signs(
        now=services.clock.now,
        boot_id=lambda: boot_id,
        daemon=partial(daemon_state, services.ledger_url),
        disk=partial(disk_of, services.ledger_url),
        last_pull_utc_us=services.disclosures.last_pull_utc_us,
        own_word=nothing_said if port is None else OwnWord(port),
    )


async def _let_in(services: Services, text: str, address: str) -> Visitor:
    try:
        token = await identify(services, text, address)
    except ProblemError as error:
        words = (
            "This token is unknown, revoked or expired." if error.status == 401 else f"Too fast: {error.mend}"
        )
        raise NotLetInError(words, error.status) from error
    visitor = _visitor(token)
    assert visitor is not None
    if "metrics" not in visitor.scopes:
        raise NotLetInError("This token lacks the scope metrics.", 403)
    return visitor


def _visitor(token: Token | None) -> Visitor | None:
    return None if token is None else Visitor(token.token_id, token.reader, token.scopes)


def _disclose(services: Services, visitor: Visitor, address: str, call_id: str | None) -> None:
    services.disclosures.record(
        Disclosure(
            at_utc_us=services.now_utc_us(),
            reader=visitor.name,
            token_id=visitor.token_id,
            address=address,
            resource=STREAM if call_id is None else RESOURCE,
            selection="" if call_id is None else f"call_id={call_id}",
            count=1,
            numbers=call_id is not None and visitor.may_see_numbers,
        )
    )
