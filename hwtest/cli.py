"""`hwtest`: the technician's instrument. Each command has a file of its own, imported when it is used."""

import difflib
import signal
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from edge.version import VERSION

COMMANDS = {
    "list": "Every probe, with its number, its level and what it measures.",
    "quick": "Is the meter good, does the switch answer, does one call get through? Under a minute.",
    "accept": "Everything that is safe on a live appliance; for the handover.",
    "run": "Run probes or groups of them, and report.",
    "watch": "Safe probes and a heartbeat of the 999's way, again and again; the record has each verdict.",
    "explain": "What a probe measures, or what a finding means and how to mend it.",
    "compare": "Two results side by side: what did a change do?",
    "doctor": "What this machine can measure, and what mends what it cannot.",
    "lab": "A real Asterisk with the daemon beside it, on loopback, without root.",
    "shift": "A shift with real SIP callers and agents in a lab of its own.",
    "bench": "How fast a caller gets an agent, beside app_queue on the same switch.",
    "prove": "Does hwtest itself find seeded faults, and blame nobody where nothing is wrong?",
    "soak": "Calls all the time and a fault every few seconds: is every one accounted for?",
}
PROBING = frozenset({"list", "quick", "accept", "run", "watch", "explain", "compare", "doctor"})
"""Those about probes, which share a folder."""
EXIT_NOT_MEASURED = 3


class Commands(click.Group):
    """Finds commands by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order of use, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        place = f"commands.{cmd_name}" if cmd_name in PROBING else f"{cmd_name}.command"
        command: click.Command = import_module(f"hwtest.{place}").command
        return command

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        """What stands before the command; wrong usage there measures nothing either."""
        try:
            return super().make_context(*arguments, **more)
        except click.UsageError as error:
            error.exit_code = EXIT_NOT_MEASURED  # type: ignore[misc]  # click has it as the default of the class
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. What a person ends, what is asked for wrongly, and a fault of our own measure nothing: 3, as 1 and 2
        say something of what was measured. `lab` measures nothing in any case, and has the usual statuses of a program.

        A command that is misspelt is wrong usage too: whoever wrote `quik` into a script must not read that the appliance failed.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if ctx.invoked_subcommand == "lab":
                raise
            click.echo("hwtest: ended before it was done", err=True)
            ctx.exit(EXIT_NOT_MEASURED)
        except click.UsageError as error:
            if ctx.invoked_subcommand != "lab":
                error.exit_code = EXIT_NOT_MEASURED  # type: ignore[misc]  # click has it as the default of the class
            raise
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.invoked_subcommand == "lab":
                raise
            from hwtest.report.redaction import masked

            at = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} at {Path(at.filename).name}:{at.lineno}"
            said = f"a fault of hwtest itself, nothing was measured: {where}: {masked(str(error))}"
            click.echo(f"hwtest: {said}", err=True)
            ctx.exit(EXIT_NOT_MEASURED)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is asked for; one that does not exist says which is near."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if near := difflib.get_close_matches(args[0], COMMANDS, n=1):
                raise click.UsageError(f"{error.message} Did you mean {near[0]}?", ctx) from None
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, message="hwtest %(version)s")
def main() -> None:
    """Proves an appliance by real calls, or a lab, and says which part to blame. Begin with doctor, lab up, quick."""
    signal.signal(signal.SIGTERM, _interrupt)  # so that what was started is ended by it too


def _interrupt(*_: object) -> None:
    from hwtest.lab.command import Terminated

    raise Terminated
