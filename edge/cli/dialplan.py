"""`edge dialplan`."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from edge.cli.output import clean, emit, json_option
from edge.cli.places import configuration


def _version(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:  # noqa: ARG001
    try:
        return None if value is None else tuple(map(int, value.split(".")))
    except ValueError:
        raise click.BadParameter("write it as 22.10.1") from None


@click.command("dialplan")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Where to write them."
)
@click.option(
    "--asterisk-version",
    "version",
    metavar="V",
    callback=_version,
    help="Such as 22.10.1 [the configuration's].",
)
@click.option(
    "--diff", is_flag=True, help="Change nothing: show what would change in DIR; exit code 1 if anything."
)
@json_option
def command(out: Path | None, version: tuple[int, ...] | None, diff: bool, as_json: bool) -> None:
    """Generate the switch's files from the configuration, so that the two cannot disagree.

    Without --out their text is shown, the passwords of ARI and AMI in it. Each file is written whole or not at all; the
    switch reads them after `asterisk -rx "core reload"`.
    """
    from dialplans.asterisk import generate

    if diff and out is None:
        raise click.UsageError("--diff needs --out DIR to compare with")
    site = configuration()
    rescue = site.switch.rescue
    if rescue is not None and not rescue.password.get_secret_value():
        raise click.ClickException(
            f"{rescue.password_file}, the password of [switch.rescue], may not be read by you, and belongs into the switch's"
            " files: generate them as a user who may, such as root."
        )
    files = generate(site, version or site.switch.version_numbers)
    if out is None:
        _show(files, as_json)
    elif diff:
        _compare(files, out, as_json)
    else:
        _write(files, out, as_json)


def _show(files: dict[str, str], as_json: bool) -> None:
    if as_json:
        emit({"files": files})
        return
    for name, text in files.items():
        click.echo(f"; ======== {name}\n{text}")


def _compare(files: dict[str, str], out: Path, as_json: bool) -> None:
    changes = {name: change for name, text in files.items() if (change := _difference(out / name, text))}
    if as_json:
        emit({"directory": str(out), "changes": changes})
    else:
        for change in changes.values():
            click.echo("\n".join(map(clean, change)))
        if not changes:
            click.echo(f"{clean(out)}: nothing would change")
    if changes:
        raise SystemExit(1)


def _difference(path: Path, text: str) -> list[str]:
    try:
        current = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        current = ""
    return list(
        difflib.unified_diff(
            current.splitlines(), text.splitlines(), str(path), f"{path} (generated)", lineterm=""
        )
    )


def _write(files: dict[str, str], out: Path, as_json: bool) -> None:
    from dialplans.asterisk import write

    try:
        changed = write(files, out)
    except OSError as error:
        raise click.ClickException(f"{out}: cannot be written: {error.strerror}") from error
    if as_json:
        emit(
            {
                "directory": str(out),
                "written": changed,
                "unchanged": [name for name in files if name not in changed],
            }
        )
        return
    for name in files:
        click.echo(f"{'written' if name in changed else 'unchanged':9} {clean(out / name)}")
