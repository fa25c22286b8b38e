"""A switch's settings as its console prints them over AMI. Everything is a text of somebody else's: what is not found is None."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.errors import RefusedError

if TYPE_CHECKING:
    from edge.pbx.asterisk.ami.client import AmiClient

_STEP = re.compile(r"(\d+)\. ([A-Za-z]+)\((.*)\)\s+\[(.*?)\]\s*$")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the dialplan."""

    application: str
    arguments: str
    source: str
    """File and line, as the switch gives them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A party that the switch knows."""

    name: str
    context: str
    known_by_address: bool
    """Whether it is recognised by where it calls from: a trunk."""
    audio_bound: bool
    """Whether its audio has an address of its own, so that no name is looked up for it."""
    silence_seconds: int
    """After so long without audio its call is ended; 0: never."""


async def console(client: AmiClient, command: str) -> list[str]:
    """The lines that a console command prints; none where the switch says no, as it does of a context that is not there."""
    try:
        answer = await client.ask("Command", {"Command": command})
    except RefusedError:
        return []
    output = answer.get("Output") or []
    return output.splitlines() if isinstance(output, str) else [str(line) for line in output]


def setting(lines: Iterable[str], name: str) -> str | None:
    """The value in a line such as `  Port start:  22100`."""
    for line in lines:
        found = re.match(rf"\s*{re.escape(name)}\s*:\s*(.*?)\s*$", line)
        if found:
            return found[1]
    return None


def number(text: str | None) -> int | None:
    """A whole number, or None."""
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None


def running_modules(lines: Iterable[str]) -> set[str]:
    """Names in what `module show` prints, without `.so`, of those that run."""
    found = (re.match(r"(\S+)\.so\s.*\sRunning\s", line) for line in lines)
    return {row[1] for row in found if row}


def steps(lines: Iterable[str]) -> list[Step]:
    """The steps in what `dialplan show` prints."""
    found = (_STEP.search(line) for line in lines)
    return [Step(row[2], row[3], row[4]) for row in found if row]


def next_contexts(lines: Iterable[str]) -> list[str]:
    """Where a line's steps go on, in order."""
    gotos = (step.arguments.split(",") for step in steps(lines) if step.application == "Goto")
    return [parts[0] for parts in gotos if len(parts) == 3]


def waits_for_audio(step: Step) -> bool:
    """Whether it answers and then waits, half a second at the least, until the caller's audio comes."""
    if step.application != "Answer":
        return False
    _, _, options = step.arguments.partition(",")
    return "i" not in options


async def endpoints(client: AmiClient, at_most: int) -> list[Endpoint]:
    """The first so many."""
    names = [str(message.get("ObjectName", "")) for message in await client.list("PJSIPShowEndpoints", {})]
    return [await _endpoint(client, name) for name in names[:at_most]]


async def _endpoint(client: AmiClient, name: str) -> Endpoint:
    parts = await client.list("PJSIPShowEndpoint", {"Endpoint": name})
    detail: Mapping[str, object] = next((part for part in parts if part.get("Event") == "EndpointDetail"), {})
    address = str(detail.get("MediaAddress", "")).strip()
    return Endpoint(
        name=name,
        context=str(detail.get("Context", "")),
        known_by_address=any(part.get("Event") == "IdentifyDetail" for part in parts),
        audio_bound=bool(address) and detail.get("BindRtpToMediaAddress") == "true",
        silence_seconds=number(str(detail.get("RtpTimeout", ""))) or 0,
    )


async def names_of_others(client: AmiClient) -> dict[str, str]:
    """Names, no addresses, of those whom the switch itself speaks to, and where each stands: trunks and registrars."""
    found = dict[str, str]()
    for action, read in (("PJSIPShowAors", _contacts), ("PJSIPShowRegistrationsOutbound", _registrar)):
        try:
            rows = await client.list(action, {})
        except RefusedError:  # no such module, or none of them
            continue
        for row in rows:
            for uri in read(row):
                if (name := host_of(uri)) is not None:
                    found.setdefault(name, f"{uri} of {row.get('ObjectName')}")
    return found


def _contacts(row: Mapping[str, object]) -> list[str]:
    """Those that are written in the configuration; whoever registers may give any name, and is answered where they came from."""
    if row.get("MaxContacts") != "0":
        return []
    return [contact.partition("/")[2] for contact in str(row.get("Contacts", "")).split(",")]


def _registrar(row: Mapping[str, object]) -> list[str]:
    return [str(row.get("ServerUri", ""))]


def host_of(uri: str) -> str | None:
    """The host of a SIP URI where it is a name; None for an address."""
    place = re.match(r"<?sips?:(?:[^@]*@)?([^:;?>\[\]]+)", uri.strip(), re.IGNORECASE)
    if place is None:
        return None
    try:
        ipaddress.ip_address(place[1])
    except ValueError:
        return place[1].lower()
    return None


def is_dead_entry(row: Mapping[str, object]) -> bool:
    """Whether a row of CoreShowChannels is a Surrogate, Down: no leg of anybody (docs/quirks/asterisk.md)."""
    return str(row.get("Channel", "")).startswith("Surrogate/") and row.get("ChannelStateDesc") == "Down"


async def tls_transports(client: AmiClient) -> list[tuple[str, str, int]]:
    """Name, address and port of each transport on which the switch takes SIP over TLS."""
    found = list[tuple[str, str, int]]()
    for line in await console(client, "pjsip show transports"):
        row = re.match(r"Transport:\s+(\S+)\s+tls\s+\d+\s+\d+\s+(\S+):(\d+)\s*$", line)
        if row:
            found.append((row[1], row[2], int(row[3])))
    return found
