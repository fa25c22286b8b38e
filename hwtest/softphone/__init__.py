"""Software phones for measuring media: PJSUA2, in processes of their own.

`build` makes PJSUA2 once from Debian's own source, `process` is a set of phones in one process, `phone` drives it.
"""
