"""Live tests: real SIP calls through a real Asterisk, the daemon beside it, judged from the wire and then the record."""
