"""`edge agent`: what the feature codes do, from the command line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from edge.cli.output import clean, emit, json_option
from edge.cli.places import configuration

if TYPE_CHECKING:
    from edge.pbx.asterisk.control import AgentControl

T = TypeVar("T")


@click.group("agent")
def command() -> None:
    """Sign an agent in or out, ready or not ready, with or without the daemon.

    It is the switch that is told (over AMI), exactly as by the feature codes; a daemon that runs follows at once.
    """


@command.command("sign-in")
@click.argument("number")
@click.option("--phone", help="The phone to sign in at [the agent's usual phone].")
@json_option
def sign_in(number: str, phone: str | None, as_json: bool) -> None:
    """Sign in and be ready. Whoever is at that phone is signed out; an agent at another phone moves."""
    phone = _with_control(lambda control: control.sign_in(number, phone))
    _say(as_json, number, f"signed in at phone {phone}", phone=phone)


@command.command("sign-out")
@click.argument("number")
@json_option
def sign_out(number: str, as_json: bool) -> None:
    """Sign out."""
    _with_control(lambda control: control.sign_out(number))
    _say(as_json, number, "signed out")


@command.command("ready")
@click.argument("number")
@json_option
def ready(number: str, as_json: bool) -> None:
    """Be ready for calls; a wrap-up ends now."""
    _with_control(lambda control: control.ready(number))
    _say(as_json, number, "ready")


@command.command("not-ready")
@click.argument("number")
@click.option(
    "--reason", default="unspecified", show_default=True, help="One of the reasons of the configuration."
)
@json_option
def not_ready(number: str, reason: str, as_json: bool) -> None:
    """Take no more calls until ready."""
    _with_control(lambda control: control.not_ready(number, reason))
    _say(as_json, number, f"not ready: {reason}", reason=reason)


def _with_control(change: Callable[[AgentControl], Awaitable[T]]) -> T:
    import asyncio

    from edge.pbx.asterisk.control import AgentControl, connected

    site = configuration()

    async def carry_out() -> T:
        async with connected(site) as link:
            return await change(AgentControl(link, site))

    return asyncio.run(carry_out())


def _say(as_json: bool, number: str, what: str, **more: str) -> None:
    if as_json:
        emit({"agent": number, "done": what, **more})
    else:
        click.echo(clean(f"agent {number}: {what}"))
