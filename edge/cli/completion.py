"""`edge completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a shell.

    \b
    bash: edge completion bash > /etc/bash_completion.d/edge
    zsh:  edge completion zsh > a file `_edge` in a directory of $fpath
    fish: edge completion fish > ~/.config/fish/completions/edge.fish
    """
    made = get_completion_class(shell)
    assert made is not None, shell
    click.echo(made(ctx.find_root().command, {}, "edge", "_EDGE_COMPLETE").source())
