"""`hwtest lab`: up, status, down, fault."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hwtest.lab import stack
from hwtest.lab.contract import Lab
from hwtest.lab.packages import LabError


class Terminated(KeyboardInterrupt):
    """SIGTERM, which unlike Ctrl-C no process has got but this one."""


NOT_RUNNING = 3
"""Exit status of `status` for a lab that is not up, as the Linux Standard Base has it for services."""


def default_directory() -> Path:
    """The lab where no other is named: beside the user's other state, by XDG."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(state) / "edge101/lab"


def say(line: str) -> None:
    """Progress goes to standard error, so that what a command prints can be used by another."""
    click.echo(f"· {line}", err=True)


def directory_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--dir`, as every command about a lab has it."""
    option = click.option(
        "--dir",
        "directory",
        type=click.Path(path_type=Path),
        default=default_directory,
        show_default="the user's state folder",
        help="Folder of the lab; several labs stand side by side in folders of their own.",
    )
    return option(command)


def lab_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What `lab up` and `shift` have in common."""
    for option in reversed(
        (
            click.option(
                "--port-base",
                type=int,
                help="First of the lab's ports. [default: 26000, or the next that is free]",
            ),
            click.option(
                "--suite", default="sid", show_default=True, help="Debian suite that Asterisk is taken from."
            ),
            click.option(
                "--asterisk", type=click.Path(path_type=Path), help="An installed Asterisk to use instead."
            ),
            click.option(
                "--wrap-up",
                "wrap_up_seconds",
                type=click.FloatRange(0, 3600),
                help="Wrap-up seconds of every queue.",
            ),
            click.option(
                "--policy",
                type=click.Path(path_type=Path),
                help="TOML file with tables to merge over the lab's edge101.toml.",
            ),
            click.option(
                "--callbacks/--no-callbacks",
                default=True,
                show_default=True,
                help="Offer call-backs to callers of 101 who would wait long.",
            ),
            click.option(
                "--mi/--no-mi",
                default=True,
                show_default=True,
                help="Start edge mi, too: the pull API and the wallboard.",
            ),
            click.option(
                "--supervise",
                is_flag=True,
                help="Keep the contract of systemd/edge101.service: notify, watchdog, restart.",
            ),
        )
    ):
        command = option(command)
    return command


@click.group("lab")
def command() -> None:
    """A real Asterisk with the daemon beside it, on loopback, without root."""


@command.command()
@directory_option
@click.option(
    "--agents",
    type=click.IntRange(1, 200),
    default=stack.DEFAULT_AGENTS,
    show_default=True,
    help="Agents and phones.",
)
@lab_options
@click.option("--without-daemon", is_flag=True, help="Only Asterisk: its dialplan serves alone.")
def up(directory: Path, without_daemon: bool, **wishes: Any) -> None:
    """Start the lab; returns when the whole stack answers."""
    try:
        found = stack.status(directory)
        if found.up:
            click.echo(
                f"The lab in {directory} is up already. `hwtest lab status --dir {directory}` shows it."
            )
            return
        refuse_partial(found, directory)
        started = stack.up(stack.Wishes(directory=directory, with_daemon=not without_daemon, **wishes), say)
    except LabError as error:
        raise click.ClickException(str(error)) from None
    click.echo(guide(started))


def refuse_partial(found: stack.Status, directory: Path) -> None:
    """Raises LabError where a lab runs in part: its owner decides what becomes of it."""
    if found.asterisk and not found.up:
        missing = "edge is not running" if found.lab else "its lab.json is missing"
        raise LabError(
            f"Part of the lab in {directory} runs ({missing}). End it first: hwtest lab down --dir {directory}"
        )
    if found.stale:
        say(f"the last lab in {directory} was not ended by `down`; nothing of it runs any more")


@command.command()
@directory_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(directory: Path, as_json: bool) -> None:
    """Show what of the lab is alive; exit status 3 when it is not up."""
    try:
        found = stack.status(directory)
    except LabError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(_status_document(found, directory), indent=2))
    else:
        state = "up" if found.up else "stale: nothing of it runs any more" if found.stale else "not up"
        click.echo(f"Lab {directory}: {state}")
        make_console().print(_status_table(found))
    sys.exit(0 if found.up else NOT_RUNNING)


def _status_document(found: stack.Status, directory: Path) -> dict[str, Any]:
    return {
        "up": found.up,
        "stale": found.stale,
        "directory": str(directory.absolute()),
        "processes": {name: {"pid": pid, "running": alive} for name, pid, alive in _processes(found)},
        "ports": _ports(found.lab),
        "contacts": dict(found.contacts),
        "channels": found.channels,
    }


def _processes(found: stack.Status) -> list[tuple[str, int | None, bool]]:
    pids = found.lab.pids if found.lab else None
    return [
        ("asterisk", pids.asterisk if pids else None, found.asterisk),
        ("edge", pids.edge if pids else None, found.edge),
        ("supervisor", pids.supervisor if pids else None, found.supervisor),
        ("mi", pids.mi if pids else None, found.mi),
    ]


def _ports(lab: Lab | None) -> dict[str, int]:
    if lab is None:
        return {}
    return {"sip": lab.sip.port, "callee": lab.callee.port, "ami": lab.ami.port, "ari": lab.ari.port}


def _status_table(found: stack.Status) -> Table:
    table = Table(show_header=False)
    for name, pid, alive in _processes(found):
        if pid is not None or alive:
            table.add_row(
                name, Text("running", "green") if alive else Text("not running", "red"), f"pid {pid}"
            )
    for name, port in _ports(found.lab).items():
        table.add_row(f"port {name}", str(port), "")
    for name, contact in sorted(found.contacts.items()):
        table.add_row(f"phone {name}", "registered", contact)
    if found.channels is not None:
        table.add_row("channels", str(found.channels), "")
    return table


@command.command()
@directory_option
def down(directory: Path) -> None:
    """End everything of the lab."""
    try:
        stopped = stack.down(directory)
    except LabError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"The lab in {directory} is down." if stopped else f"No lab runs in {directory}.")


@command.command(context_settings={"ignore_unknown_options": True})
@directory_option
@click.option("--list", "listing", is_flag=True, help="Every fault, and what is to find it.")
@click.argument("name", required=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
def fault(directory: Path, listing: bool, name: str | None, words: tuple[str, ...]) -> None:
    """Seed the fault NAME into a lab that is up; it lasts while COMMAND runs, or until Ctrl-C, and is then taken away.

    For example: hwtest lab fault one-way-audio -- hwtest run audio.twoway
    """
    from hwtest.lab import faults

    if listing or name is None:
        make_console().print(_faults_table())
        for other, reason in faults.NOT_SEEDED.items():
            click.echo(f"not seeded here: {other}: {reason}")
        return
    try:
        with faults.seeded(directory, name) as seeded:
            say(f"{seeded.name}: {seeded.words}")
            status = _while(words)
    except LabError as error:
        raise click.ClickException(str(error)) from None
    say(f"{name} is taken away")
    sys.exit(status)


def _while(words: tuple[str, ...]) -> int:
    """Run a command and return its status; without one wait for Ctrl-C.

    A command that a signal ends has the time that it needs: a run of probes ends its calls and writes its report. Ctrl-C
    reaches it as well as us, SIGTERM by us alone; a second one of either ends it at once.
    """
    if words:
        try:
            started = subprocess.Popen(words)
        except OSError as error:
            raise LabError(f"{words[0]}: {error.strerror or error}.") from None
        with started:
            try:
                return started.wait()
            except KeyboardInterrupt as end:
                if isinstance(end, Terminated):
                    started.terminate()
            try:
                return started.wait()
            except KeyboardInterrupt:
                started.kill()
                return NOT_RUNNING
    say("Ctrl-C takes it away")
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()
    return 0


def _faults_table() -> Table:
    from hwtest.lab import faults

    table = Table("fault", "what is seeded", "layer", "found by")
    for each in faults.FAULTS.values():
        table.add_row(each.name, each.words, each.layer, " ".join(each.found_by))
    return table


def guide(lab: Lab, *, with_softphone: bool = True) -> str:
    """How to look at a lab and take part in it, in words."""
    edge = f"{Path(sys.executable).with_name('edge')}"
    lines = [
        f"The lab is up in {lab.directory} (Asterisk {lab.asterisk_version}).",
        "",
        *(
            [f"Prove it, in under a minute: hwtest quick --target {lab.directory}", ""]
            if with_softphone
            else []
        ),
        "Look at it:",
        f"  {edge} --config {lab.config} status     also: top, calls, agents, why CALL",
        f"  hwtest lab status --dir {lab.directory}",
        f"  logs: {lab.directory}/log/edge.log, {lab.asterisk_directory}/log/messages",
        f"  for tools: {lab.directory}/lab.json",
        *management_guide(lab),
    ]
    return "\n".join(
        [*lines, *(softphone(lab, lab.agents[-1].user) if lab.agents and with_softphone else [])]
    )


def management_guide(lab: Lab) -> list[str]:
    """Where the wallboard is, and how the record is pulled."""
    if lab.mi.url is None:
        return []
    return [
        f"  wallboard: {lab.mi.url}/wallboard   token {lab.mi.token}",
        f'  the record: curl -H "Authorization: Bearer {lab.mi.token}" "{lab.mi.url}/v1/facts?format=ndjson"',
    ]


def softphone(lab: Lab, user: str, called_back: str | None = None) -> list[str]:
    """How to take part with one's own softphone, as the agent's phone `user`. `called_back`: where that rings, in words."""
    agent = next(agent for agent in lab.agents if agent.user == user)
    code, lines = lab.codes["sign_in"], lab.lines
    return [
        "",
        "Take part with a softphone on this machine (SIP over UDP, G.711):",
        f"  account  {agent.user}@{agent.registrar}   password  {agent.password}",
        f"  call     {lines['101']} or {lines['999']} as the public; any softphone may also call",
        f"           sip:{lines['101']}@{lab.sip.host}:{lab.sip.port} without an account",
        *(
            [
                f"  call-back  press {lab.callback.key} when it is offered; it rings at "
                + (called_back or f"{lab.callee.host}:{lab.callee.port}")
            ]
            if lab.callback
            else []
        ),
        f"  serve    dial {code} to sign in as agent {agent.number}, {lab.codes['sign_out']} to sign out",
    ]


def make_console() -> Console:
    """Without a terminal lines are as wide as they need to be."""
    console = Console()
    return console if console.is_terminal else Console(width=120)
