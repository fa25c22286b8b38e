"""Facts to rows and back, and the engine's state to bytes and back.

A row's body is JSON with sorted keys; personal fields go to a body of their own, joined to the row by a salted digest.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import deque
from dataclasses import fields
from functools import cache
from typing import Any, NamedTuple, TypeVar, get_args, get_origin

import msgspec

from edge.core.facts import KINDS, Entry, Fact, personal_fields
from edge.core.model import ClockState, Instant
from edge.ports import LedgerError, UnreadableError

T = TypeVar("T")

SALT_BYTES = 16
LARGEST = 2**63 - 1
NO_LONGER_WRITTEN = {"TaskOfferWithdrawn": frozenset({"declined"}), "TaskOfferEnded": frozenset({"declined"})}
"""Fields that earlier versions wrote and that say no more than others do: read past."""


class EntryRefusedError(LedgerError):
    """This entry can never be stored, whatever the disk does: a fault of whoever made it. Others may follow in its place."""


class Row(NamedTuple):
    """One row of `facts` without its hash: exactly the columns that the hash covers, in the order it covers them."""

    sequence: int
    kind: str
    monotonic_ns: int
    utc_us: int
    switch_utc_us: int | None
    clock: str
    reason: str
    call_id: str | None
    agent: str | None
    body: str
    personal_digest: str | None


class Personal(NamedTuple):
    """One row of `personal`: the personal fields of one fact."""

    sequence: int
    salt: str
    body: str


class Record(NamedTuple):
    """A fact as it is stored. `personal` is None when there was nothing personal, or when it has been erased."""

    row: Row
    hash: str
    personal: Personal | None

    @property
    def erased(self) -> bool:
        """Whether this fact had personal fields that are gone."""
        return self.row.personal_digest is not None and self.personal is None


def personal_digest(salt: str, body: str) -> str:
    """SHA-256 over the salt and the personal body, in hexadecimal. Without the salt nobody can try numbers against it."""
    return hashlib.sha256(f"{salt}{body}".encode()).hexdigest()


def encode_entry(entry: Entry) -> tuple[Row, Personal | None]:
    """The rows that hold `entry`; they are known to read back equal. Raises `EntryRefusedError`."""
    kind = type(entry.fact).__name__
    try:
        row, personal = _rows(entry, kind)
        same = _reads_back(entry.fact, kind, row, personal)
    except (LedgerError, msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
        raise EntryRefusedError(f"entry {entry.sequence} ({kind}) cannot be stored: {error}") from error
    if not same:
        raise EntryRefusedError(
            f"entry {entry.sequence} ({kind}) cannot be stored: it would not read back equal"
        )
    return row, personal


def _rows(entry: Entry, kind: str) -> tuple[Row, Personal | None]:
    if KINDS.get(kind) is not type(entry.fact):
        raise EntryRefusedError("it is no kind of fact known to edge.core.facts")
    body, personal = _bodies(entry, kind)
    row = Row(
        _fits(entry.sequence),
        kind,
        _fits(entry.at.monotonic_ns),
        _fits(entry.at.utc_us),
        None if entry.switch_utc_us is None else _fits(entry.switch_utc_us),
        entry.clock.value,
        entry.reason.encode().decode(),  # refuses what no UTF-8 can hold, as JSON does for the body
        getattr(entry.fact, "call_id", None),
        getattr(entry.fact, "agent", None),
        body,
        None if personal is None else personal_digest(personal.salt, personal.body),
    )
    return row, personal


def _bodies(entry: Entry, kind: str) -> tuple[str, Personal | None]:
    """The fact as JSON, and what of it is personal in a body of its own."""
    names = _private(kind)
    if not names:
        return _json(entry.fact), None
    values: dict[str, Any] = msgspec.to_builtins(entry.fact)
    private = {name: values.pop(name) for name in names}
    if all(value is None for value in private.values()):
        return _json(values), None
    return _json(values), Personal(entry.sequence, secrets.token_hex(SALT_BYTES), _json(private))


def _json(values: object) -> str:
    return _ENCODER.encode(values).decode()


_ENCODER = msgspec.json.Encoder(order="sorted")


def _reads_back(fact: Fact, kind: str, row: Row, personal: Personal | None) -> bool:
    """Whether what was written is this fact. Its bodies are this version's own, so they are read in one go, as one; the other
    columns hold what they were given."""
    if personal is None:
        written = row.body
    elif row.body == _EMPTY:
        written = personal.body
    else:
        written = f"{row.body[:-1]},{personal.body[1:]}"
    return bool(_decoder(kind).decode(written) == fact)


_EMPTY = "{}"


@cache
def _decoder(kind: str) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(KINDS[kind])


def _fits(number: int) -> int:
    if not -LARGEST <= number <= LARGEST:
        raise OverflowError(f"{number} does not fit 64 bits")
    return number


def decode_entry(row: Row, personal: Personal | None) -> Entry:
    """The entry held by these rows. Raises `UnreadableError` naming sequence and kind when this program cannot read it."""
    try:
        return Entry(
            sequence=row.sequence,
            at=Instant(row.monotonic_ns, row.utc_us),
            fact=_fact(row.kind, row.body, personal),
            reason=row.reason,
            clock=ClockState(row.clock),
            switch_utc_us=row.switch_utc_us,
        )
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise UnreadableError(
            f"entry {row.sequence} ({row.kind}) cannot be read: {error}; "
            "if a newer version of edge wrote it, read it with that version, otherwise run `edge ledger verify`"
        ) from error


def _fact(kind: str, body: str, personal: Personal | None) -> Fact:
    made = KINDS.get(kind)
    if made is None:
        raise ValueError("this version knows no such kind of fact")
    values = msgspec.json.decode(body, type=dict[str, Any])
    if personal is not None:
        values |= msgspec.json.decode(personal.body, type=dict[str, Any])
    if unknown := values.keys() - _names(kind):
        raise ValueError(f"this version knows no field {', '.join(sorted(unknown))}")
    return msgspec.convert(values, made)


@cache
def _names(kind: str) -> frozenset[str]:
    names = frozenset(part.name for part in fields(KINDS[kind]))
    return names | NO_LONGER_WRITTEN.get(kind, frozenset())


@cache
def _private(kind: str) -> tuple[str, ...]:
    return personal_fields(KINDS[kind])


def encode_state(state: object) -> bytes:
    """`state` (dataclasses, dicts, sets, deques, tuples, enums) as bytes for a checkpoint; dicts keep their order."""
    try:
        return msgspec.msgpack.encode(state, enc_hook=_plain)
    except (TypeError, ValueError, OverflowError) as error:
        raise LedgerError(f"the state cannot be written as a checkpoint: {error}") from error


def decode_state(state: bytes, type: type[T]) -> T:  # noqa: A002  (msgspec's own word for it)
    """The state of this type held by `state`. Raises `LedgerError` when it is of another shape: replay all facts instead."""
    try:
        return msgspec.msgpack.decode(state, type=type, dec_hook=_rebuilt)
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise LedgerError(
            f"the checkpoint does not hold a {type.__name__} of this version: {error}; replay all facts"
        ) from error


def _plain(value: object) -> object:
    if isinstance(value, deque):
        return list(value)
    raise TypeError(f"{value.__class__.__name__} has no form in a checkpoint")


def _rebuilt(wanted: Any, value: object) -> object:
    if (get_origin(wanted) or wanted) is not deque:
        raise TypeError(f"{wanted} has no form in a checkpoint")
    (part,) = get_args(wanted) or (Any,)
    return deque(msgspec.convert(value, list[part], dec_hook=_rebuilt))  # type: ignore[valid-type]
