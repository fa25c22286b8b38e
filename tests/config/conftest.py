"""A configuration without findings, for tests that spoil it."""

from collections.abc import Callable
from pathlib import Path

import pytest

GOOD = """\
[site]
name = "Room"
[switch.ari]
password_file = "ari.password"
[switch.ami]
password_file = "ami.password"
[emergency]
buddy_phone = "home"
[not_ready]
reasons = ["break"]
[class.vulnerable]
head_start_seconds = 300
[queue.emergency]
skills = ["999"]
[queue.public]
skills = ["101"]
[line.emergency]
number = "999"
tier = "999"
queue = "emergency"
[line.public]
number = "101"
tier = "101"
queue = "public"
greeting = "greeting-101"
[agent.4001]
name = "Ann"
skills = { "101" = 1, "999" = 2 }
phone = "desk1"
pin = "1234"
[phone.desk1]
[phone.home]
kind = "trunk"
trunk = "gateway"
number = "01632960001"
"""


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a configuration and its secrets, readable by nobody else; gives its path."""

    def write(text: str) -> Path:
        secrets = {
            "ari.password": "ari-secret-word",
            "ami.password": "ami-secret-word",
            "rescue.password": "rescue-secret-word",
            "edge101.toml": text,
        }
        for name, content in secrets.items():
            (tmp_path / name).write_text(content, encoding="utf-8")
            (tmp_path / name).chmod(0o600)
        return tmp_path / "edge101.toml"

    return write


@pytest.fixture
def good() -> str:
    """The text without findings."""
    return GOOD
