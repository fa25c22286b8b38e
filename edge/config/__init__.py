"""The one configuration of a site: a commented TOML file, read, checked and explained.

`load` gives a `Configuration` or raises `ConfigurationError` with every finding; `edge.config.check` gives the findings
themselves, those about the switch's own files too.
"""

from edge.config.findings import ConfigurationError, Finding
from edge.config.load import load
from edge.config.model import Configuration

__all__ = ["Configuration", "ConfigurationError", "Finding", "load"]
