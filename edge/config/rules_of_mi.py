"""What does not go together in `[mi]`."""

from __future__ import annotations

from collections.abc import Iterator

from edge.config.fields import is_loopback
from edge.config.findings import Level
from edge.config.model import Configuration
from edge.config.rules import Contradiction, Rule


def _other_machines_need_tls(configuration: Configuration) -> Iterator[Contradiction]:
    mi = configuration.mi
    if not is_loopback(mi.address) and mi.certificate_file is None:
        yield Contradiction(
            ("mi", "address"),
            "is not of this machine only, and there is no TLS: tokens and callers' numbers would cross the network in the clear",
            'Add certificate_file = "mi.crt" and key_file = "mi.key" to [mi], or address = "127.0.0.1".',
        )


def _tls_is_whole(configuration: Configuration) -> Iterator[Contradiction]:
    mi = configuration.mi
    if mi.certificate_file is not None and mi.key_file is None:
        yield Contradiction(
            ("mi", "certificate_file"), "there is no key for it", 'Add key_file = "mi.key" to [mi].'
        )
    for name in ("key_file", "client_ca_file"):
        if getattr(mi, name) is not None and mi.certificate_file is None:
            yield Contradiction(
                ("mi", name),
                "means nothing without a certificate",
                'Add certificate_file = "mi.crt" to [mi].',
            )


def _a_folder_for_its_own(configuration: Configuration) -> Iterator[Contradiction]:
    if configuration.mi.directory is None and not configuration.ledger.url.startswith("sqlite"):
        yield Contradiction(
            ("ledger", "url"),
            "is no file, so there is no folder beside it for MI's own files",
            'Add directory = "/var/lib/edge101/mi" to [mi].',
            Level.WARNING,
        )


RULES: tuple[Rule, ...] = (_other_machines_need_tls, _tls_is_whole, _a_folder_for_its_own)


def mi_files(configuration: Configuration) -> Iterator[Contradiction]:
    """Files of TLS that are not there. Warnings: a slip here must not keep the daemon from its callers."""
    for name in ("certificate_file", "key_file", "client_ca_file"):
        file = getattr(configuration.mi, name)
        if file is not None and not file.is_file():
            yield Contradiction(
                ("mi", name),
                f"{file} is not there: edge mi cannot start",
                "Put the PEM file there, or name another.",
                Level.WARNING,
            )
