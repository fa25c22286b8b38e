"""The command line's fixtures serve here too."""

from tests.cli.conftest import directory, edge, site

__all__ = ["directory", "edge", "site"]
