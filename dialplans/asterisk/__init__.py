"""The Asterisk side: its configuration files, generated from the one configuration so that the two cannot disagree."""

from dialplans.asterisk.generate import generate, write

__all__ = ["generate", "write"]
