"""`edge run` as a process where something is wrong from the start: what it says, and with which exit code."""
