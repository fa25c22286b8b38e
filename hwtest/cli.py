"""`hwtest`: the technician's instrument. Each command has a file of its own, imported when it is used."""

import signal
from importlib import import_module
from typing import Any

import click

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

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Wrong usage of those about probes measures nothing: 3, as 2 says that something failed."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if ctx.invoked_subcommand not in PROBING:
                raise
            click.echo("hwtest: ended; there is no report", err=True)
            ctx.exit(EXIT_NOT_MEASURED)
        except click.UsageError as error:
            if ctx.invoked_subcommand in PROBING:
                error.exit_code = EXIT_NOT_MEASURED  # type: ignore[misc]  # click has it as the default of the class
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Places real SIP calls against Edge101, in a lab or at an appliance."""
    signal.signal(signal.SIGTERM, _interrupt)  # so that what was started is ended by it too


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
