"""`edge mi`: the record for others to pull, in a process of its own (docs/mi.md, docs/adr/0018-mi.md).

It opens the ledger to read only, and keeps what is its own (tokens, acknowledgements, the log of disclosures) in a file
beside it. Nothing here is ever imported by the daemon: if MI is slow, broken or attacked, no call notices.
"""
