"""What may import what, what may be said where, and how large a function may grow: rules of DESIGN.md as tests."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = sorted((ROOT / "edge" / "core").glob("*.py"))
EDGE = sorted((ROOT / "edge").rglob("*.py"))
CODE = sorted([*EDGE, *(ROOT / "hwtest").rglob("*.py")])
TESTS = sorted((ROOT / "tests").rglob("*.py"))
HERE = Path(__file__).parent

PURE = {
    "__future__",
    "bisect",
    "collections",
    "copy",
    "dataclasses",
    "enum",
    "functools",
    "heapq",
    "itertools",
    "math",
    "operator",
    "re",
    "sys",
    "typing",
}
WIRE_WORDS = {"channel", "bridge", "endpoint", "stasis", "pjsip", "ami", "ari", "esl", "linkedid"}
LINES_PER_FUNCTION = 70
LONGER_FUNCTIONS: dict[str, int] = {}
"""Functions that were longer when the limit came: they may shrink, none may be added."""


@cache
def tree(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(path: Path) -> str:
    """The path within the project."""
    return path.relative_to(ROOT).as_posix()


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, in full."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: relative import"
            yield node.module or ""


def called(path: Path) -> Iterator[tuple[str, int]]:
    """The name and line of everything a file calls: `f` of `f()` and of `a.f()`."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            yield name, node.lineno


def identifiers(path: Path) -> Iterator[str]:
    """Every name that a file defines or uses."""
    for node in ast.walk(tree(path)):
        for part in ("id", "attr", "name", "arg"):
            value = getattr(node, part, None)
            if isinstance(value, str):
                yield value


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_is_pure(path: Path) -> None:
    """The engine knows no clock, chance, network, disk or log: only pure modules and itself."""
    foreign = {
        module
        for module in imported(path)
        if module.partition(".")[0] not in PURE and not re.match(r"edge\.core(\.|$)", module)
    }
    assert foreign == set()


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_only_the_diagrams_write_anything(path: Path) -> None:
    """`sys` is for the diagrams' output; nothing in the core opens, prints or executes."""
    assert {"open", "print", "exec", "eval", "input"} & {name for name, _ in called(path)} == set()
    assert "sys" not in set(imported(path)) or path.name == "diagrams.py"


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_wire_words_stay_in_the_adapters(path: Path) -> None:
    """The core speaks of calls, legs and phones, never of one switch's channels and bridges."""
    words = {
        word
        for identifier in identifiers(path)
        for word in re.findall(r"[a-z]+", re.sub(r"([A-Z])", r"_\1", identifier).lower())
    }
    assert words & WIRE_WORDS == set()


def test_the_protocol_libraries_stay_in_the_adapters() -> None:
    """Nothing outside `edge/pbx` (and the instrument, which has its own place) imports panoramisk or aioari."""
    guilty = [
        name_of(path)
        for path in EDGE
        if not path.is_relative_to(ROOT / "edge" / "pbx")
        and {module.partition(".")[0] for module in imported(path)} & {"panoramisk", "aioari"}
    ]
    assert guilty == []


def test_nothing_stands_on_the_command_line() -> None:
    """The command line is the top: what it shares with `edge run` and `edge mi` stands below it."""
    guilty = [
        name_of(path)
        for path in EDGE
        if not path.is_relative_to(ROOT / "edge" / "cli")
        and path.name != "__main__.py"
        and any(re.match(r"edge\.cli(\.|$)", module) for module in imported(path))
    ]
    assert guilty == []


def test_no_subscription_to_everything() -> None:
    """Subscribing to all events or to device states drowns the switch (ASTERISK.md): the words occur in no string."""
    guilty = [
        f"{name_of(path)}:{node.lineno}"
        for path in EDGE
        if path.is_relative_to(ROOT / "edge" / "pbx")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"subscribeAll\s*[=\"']?\s*(true|1)|deviceState:", node.value, re.IGNORECASE)
    ] + [
        f"{name_of(path)}: {identifier}"
        for path in EDGE
        if path.is_relative_to(ROOT / "edge" / "pbx")
        for identifier in identifiers(path)
        if identifier.lower().replace("_", "") == "subscribeall"
    ]
    assert guilty == []


def test_no_print_outside_the_command_lines() -> None:
    """What the daemon has to say goes to the log or the ledger."""
    guilty = [
        f"{name_of(path)}:{node.lineno}"
        for path in CODE
        if "cli" not in path.relative_to(ROOT).parts and path.stem != "cli"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert guilty == []


def test_no_sleep_in_tests() -> None:
    """Tests wait until a condition holds (a loop that looks again), or advance a clock; `sleep(0)` only lets others run."""
    guilty = [f"{name_of(path)}:{line}" for path in TESTS for line in naps(path)]
    assert guilty == []


def naps(path: Path) -> Iterator[int]:
    """The lines of a file that sleep for a fixed time: any `sleep` outside a `while`, but for `sleep(0)`."""
    looking_again = {
        id(node) for loop in ast.walk(tree(path)) if isinstance(loop, ast.While) for node in ast.walk(loop)
    }
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and id(node) not in looking_again:
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name == "sleep" and ", ".join(map(ast.unparse, node.args)) != "0":
                yield node.lineno


def test_functions_fit_on_a_page() -> None:
    """No function is longer than 70 lines, but for those on a list that only gets shorter."""
    longer = {}
    for path in [*CODE, *TESTS]:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LINES_PER_FUNCTION:
                    longer[f"{name_of(path)}:{node.name}"] = lines
    assert {name: lines for name, lines in longer.items() if lines > LONGER_FUNCTIONS.get(name, 0)} == {}
    assert LONGER_FUNCTIONS.keys() - longer.keys() == set()


@cache
def tracked() -> tuple[Path, ...]:
    """Files under version control, or all sources where there is none."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = listing.stdout.split("\0") if listing.returncode == 0 else []
    return tuple(path for name in names if name and (path := ROOT / name).is_file())


FOREIGN = re.compile(
    r"https?://(?:[\w.-]*\.)?(?:artifactory|nexus|jfrog|mirror|proxy|registry)[\w-]*(?!\.invalid)\.[\w.-]+"
    r"|(?<![\w./-])/(?:work|home/(?!\$|<|someone)\w+|Users|root/\.)(?=/)"
)
"""Addresses of somebody's own package registry, and paths of somebody's own machine."""


def test_nothing_names_the_machine_it_was_written_on() -> None:
    """No tracked file names a package registry's host or a path of the machine it was written on."""
    guilty = []
    for path in tracked():
        if path.is_relative_to(HERE):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        guilty += [f"{name_of(path)}: {found.group()}" for found in FOREIGN.finditer(text)]
    assert guilty == []


def test_this_interpreter_knows_every_pure_module() -> None:
    """The list of pure modules names only modules of the standard library."""
    assert PURE - sys.stdlib_module_names == set()


NOT_IN_THE_DAEMON = ("edge.mi", "edge.reports", "fastapi", "starlette", "uvicorn", "matplotlib", "numpy")
NOT_AT_START = (
    "alembic",
    "holidays",
    "jinja2",
    "prometheus_client",
    "psycopg",
    "edge.cli.output",
    "edge.config.check",
    "edge.exposition",
    "edge.ledger.migrations",
    "edge.ledger.postgres",
    "edge.views.calls",
    "edge.views.record",
    "edge.views.shapes",
)
"""What few starts need, and others not at once: a daemon that was killed is back the sooner."""
LOADED = "import edge.daemon, sys; print('\\n'.join(sys.modules))"


def loaded_by_the_daemon(but: tuple[str, ...]) -> list[str]:
    """Those of these packages and modules that `edge run` has loaded before it reads its configuration."""
    loaded = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    modules = loaded.stdout.splitlines()
    assert "edge.runtime" in modules
    return [name for name in modules if any(name == no or name.startswith(f"{no}.") for no in but)]


def test_the_daemon_imports_nothing_of_mi() -> None:
    """Reading never disturbs calling: what serves others is not even loaded into the process that serves callers."""
    assert loaded_by_the_daemon(NOT_IN_THE_DAEMON) == []


def test_the_daemon_starts_with_what_it_needs_only() -> None:
    """Importing is most of the time that a daemon takes from its death to the next call."""
    assert loaded_by_the_daemon(NOT_AT_START) == []
