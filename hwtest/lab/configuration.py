"""edge101.toml of a lab: made from a few parameters, with a person's own tables merged over it."""

import json
import re
import secrets
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hwtest.lab.packages import LabError
from hwtest.lab.ports import HOST, Ports
from hwtest.lab.sip import CALLEE

DEFAULT_WRAP_UP_SECONDS = 5.0
FIRST_AGENT = 4001
SUPERVISOR = "4900"
SUPERVISOR_PHONE = "supervisor1"
TEST_PHONE = "test1"
BUDDY_PHONE = "buddy"
BUDDY_NUMBER = "01632960998"
"""Of the buddy force, behind the trunk to public numbers (Ofcom: numbers for drama)."""
CALLBACK_LINE = "callback"
"""The line of the number that call-backs show."""
CALLBACK_NUMBER = "01632960900"
SECRETS = ("ari", "ami", "rescue")
"""Files below D/secrets that hold one password each."""

SOON: Mapping[str, float] = {
    "offer_above_seconds": 20.0,
    "offer_below_seconds": 10.0,
    "offer_every_seconds": 30.0,
    "spacing_seconds": 5.0,
    "handling_seconds": 60.0,
    "ring_seconds": 15.0,
}
"""A lab's call-backs: offered and tried again soon enough to be watched."""

Document = dict[str, Any]


def document(
    directory: Path,
    ports: Ports,
    agents: int,
    wrap_up_seconds: float | None,
    asterisk_version: str,
    *,
    callbacks: bool = True,
    plan: Mapping[str, float] = SOON,
) -> Document:
    """The lab's configuration: lines 101, 1010 and 999, and `agents` agents who can take all of them.

    An unanswered 999 goes on to a supervisor and to the buddy force; 5990 is a line for test calls. Who would wait long for 101
    is offered a call-back (`callbacks`), which rings at the public numbers; a policy turns it off by `enabled = false`.
    `plan`: when it is offered, and tried again.
    """
    wrap_up = DEFAULT_WRAP_UP_SECONDS if wrap_up_seconds is None else float(wrap_up_seconds)
    return {
        "site": {"name": "Edge101 lab"},
        "switch": {
            "version": asterisk_version,
            "ari": {"url": f"http://{HOST}:{ports.http}", "password_file": "secrets/ari"},
            "ami": {"host": HOST, "port": ports.ami, "password_file": "secrets/ami"},
            "rescue": {"password_file": "secrets/rescue"},
            "log_directory": f"{directory}/asterisk/log",
        },
        **_record(directory, ports),
        "emergency": {"queue": "999", "key": "9", "buddy_phone": BUDDY_PHONE},
        "callback": {
            "trunk": CALLEE,
            "show_number": CALLBACK_NUMBER,
            "idle_agents": 1 if agents > 3 else 0,  # a small room would have nobody to spare
            "clock_synchronised": False,  # a lab's machine may be anybody's
        },
        "not_ready": {"reasons": ["break", "training", "report writing"]},
        "queue": {
            "101": {
                "skills": ["101"],
                "wrap_up_seconds": wrap_up,
                "target_seconds": 30.0,
                "target_share": 0.8,
                "callback": {**plan, "enabled": callbacks},
            },
            "999": {
                "skills": ["999"],
                "wrap_up_seconds": wrap_up,
                "target_seconds": 10.0,
                "target_share": 0.9,
            },
        },
        "line": {
            "101": {"number": "101", "tier": "101", "queue": "101", "greeting": "greeting-101"},
            "101-no-greeting": {"number": "1010", "tier": "101", "queue": "101"},
            "999": {"number": "999", "tier": "999", "queue": "999"},
            CALLBACK_LINE: {
                "number": CALLBACK_NUMBER,
                "tier": "101",
                "queue": "101",
                "greeting": "callback-returned",
            },
            "999-test": {"number": "5990", "tier": "999", "queue": "999", "test_phone": TEST_PHONE},
        },
        "agent": {**{str(FIRST_AGENT + index): _agent(index) for index in range(agents)}, **_supervisors()},
        "phone": {
            **{f"agent{index + 1}": {} for index in range(agents)},
            SUPERVISOR_PHONE: {},
            TEST_PHONE: {},
            BUDDY_PHONE: {"kind": "trunk", "trunk": CALLEE, "number": BUDDY_NUMBER},
        },
    }


def _record(directory: Path, ports: Ports) -> Document:
    return {"ledger": {"url": f"sqlite:///{directory}/ledger.sqlite"}, "mi": {"port": ports.mi}}


def _supervisors() -> Document:
    return {
        SUPERVISOR: {
            "name": f"Supervisor {SUPERVISOR}",
            "pin": f"{secrets.randbelow(10_000):04}",
            "skills": {"999": 1},
            "phone": SUPERVISOR_PHONE,
            "supervisor": True,
        }
    }


def _agent(index: int) -> Document:
    return {
        "name": f"Agent {FIRST_AGENT + index}",
        "pin": f"{secrets.randbelow(10_000):04}",
        "skills": {"101": 1, "999": 1},
        "phone": f"agent{index + 1}",
    }


def read_policy(path: Path) -> Document:
    """The tables of a policy file. Raises LabError if it is no TOML file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LabError(f"--policy {path}: {error.strerror}.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LabError(f"--policy {path} is not TOML: {error}.") from None


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Document:
    """`base` with `over` laid upon it: tables are merged, everything else is replaced."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = merged(below, value)
        result[key] = value
    return result


def to_toml(tables: Mapping[str, Any]) -> str:
    """The document as TOML 1.0."""
    return "\n\n".join(_tables((), tables)) + "\n"


def _tables(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[str]:
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    header = [f"[{'.'.join(map(_key, path))}]"] if path else []
    if plain or not table:
        yield "\n".join([*header, *(f"{_key(key)} = {_value(value)}" for key, value in plain.items())])
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _tables((*path, key), value)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _text(key)


def _value(value: object) -> str:
    match value:
        case str():
            return _text(value)
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
        case Mapping():
            return f"{{{', '.join(f'{_key(key)} = {_value(inner)}' for key, inner in value.items())}}}"
    return str(value)  # numbers, and dates as tomllib reads them


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace(
        "\x7f", "\\u007f"
    )  # TOML's basic strings escape as JSON does
