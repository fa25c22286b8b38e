"""The command line. Each command has a file of its own, imported when it is used, so that `edge status` is quick.

Exit codes: 0 well, 1 something was found or failed, 2 wrong usage, 78 the configuration must be mended (sysexits.h).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from edge.cli.places import CONFIGURATION_VARIABLE, LEDGER_META, find_configuration
from edge.errors import EXIT_CONFIGURATION, LinkError, PermanentError, RefusedError
from edge.ports import LedgerError

COMMANDS = {
    "run": "Serve calls until stopped.",
    "check": "Look for mistakes in the configuration and the switch's files.",
    "status": "Daemon, switch, clock, ledger, queues, agents and calls in one look.",
    "top": "The same, live.",
    "calls": "Calls with their waits and outcomes.",
    "call": "The story of one call.",
    "why": "Why a call went as it did, one line per decision.",
    "gaps": "When the switch was not seen, and how complete the record is.",
    "callbacks": "Call-backs: list, show, cancel, move; pause and resume offering.",
    "tasks": "Ring-back tasks: list, show, assign, close.",
    "agents": "Agents with their phones and states.",
    "agent": "Sign an agent in or out, ready or not ready.",
    "incident": "Declare a major incident, end it, or see whether one is declared.",
    "note": "Attach an incident's reference or a recording to a call, or mark its caller as assisted.",
    "numbers": "The list of known numbers: show, add, remove, check.",
    "metrics": "Figures by definition: list, show, compute for any period.",
    "mi": "Serve the record to central systems, and the wallboard.",
    "tokens": "Who may pull the record: add, list, rotate, revoke.",
    "ledger": "Verify, count, export, erase and retain the record; what is held about a number.",
    "hold": "Legal holds: add, list, release.",
    "ship": "Copy the ledger to a PostgreSQL database that appliances share.",
    "report": "A week, month or quarter as a page with plots, and as CSV.",
    "reconcile": "Differences against another party's counts: the switch's own records, BT's figures of 999.",
    "replay": "Fold the whole ledger again and compare.",
    "rescue": "Move callers whom nobody serves to the switch's own queue.",
    "dialplan": "Generate the switch's files from the configuration.",
    "completion": "Shell completion.",
    "version": "What is installed.",
}


class Commands(click.Group):
    """Finds commands by name and turns known trouble into one message and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order of use, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"edge.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except PermanentError as error:
            raise Failure(str(error), EXIT_CONFIGURATION) from error
        except (LedgerError, LinkError, RefusedError) as error:
            raise Failure(str(error), 1) from error


class Failure(click.ClickException):
    """A message for a person, and the exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click has it as the default of the class

    def show(self, file: Any = None) -> None:
        """To the standard error stream; whatever a stranger wrote into it is harmless there."""
        from edge.cli.output import clean

        for line in self.format_message().splitlines():
            click.echo(f"edge: {clean(line)}", file=file, err=file is None)


@click.group("edge", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "configuration",
    metavar="FILE",
    help=f"The configuration [${CONFIGURATION_VARIABLE}, /etc/edge101/edge101.toml, ./edge101.toml].",
)
@click.option(
    "--ledger",
    metavar="URL",
    help="Read this ledger and not the configuration's, such as sqlite:////evidence/ledger.sqlite.",
)
@click.pass_context
def main(ctx: click.Context, configuration: str | None, ledger: str | None) -> None:
    """Edge101: answers, queues and connects a control room's 101 and 999 calls.

    Commands that look never disturb the daemon and work without it. Exit codes: 0 well, 1 something was found or failed,
    2 wrong usage, 78 the configuration must be mended.
    """
    ctx.obj = find_configuration(configuration)
    ctx.meta[LEDGER_META] = ledger
