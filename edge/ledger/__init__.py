"""The ledger: facts in order on disk, chained by hash, personal data apart (docs/adr/0004-ledger.md)."""

from edge.ledger.store import erase, export, head, open_ledger, open_reader, statistics, verify

__all__ = ["open_ledger", "open_reader", "verify", "head", "statistics", "export", "erase"]
