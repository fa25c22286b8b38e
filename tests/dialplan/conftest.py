"""A small site to generate for."""

from typing import Any

import pytest

from edge.config import Configuration


def site() -> dict[str, Any]:
    """A configuration as TOML would give it, secrets filled in."""
    return {
        "site": {"name": "Room"},
        "switch": {
            "ari": {"password_file": "a", "password": "ari-secret-word"},
            "ami": {"password_file": "b", "password": "ami-secret-word"},
        },
        "not_ready": {"reasons": ["break", "lunch break"]},
        "class": {"vulnerable": {"head_start_seconds": 300}},
        "queue": {
            "emergency": {"skills": ["999"]},
            "public": {"skills": ["101"]},
            "welsh": {"skills": ["cymraeg"], "relax": [{"after_seconds": 60, "skills": ["101"]}]},
        },
        "line": {
            "emergency": {"number": "999", "tier": "999", "queue": "emergency"},
            "public": {"number": "101", "tier": "101", "queue": "public"},
            "vulnerable": {"number": "1017", "tier": "101", "queue": "public", "class": "vulnerable"},
        },
        "agent": {
            "4001": {"name": "Ann", "skills": {"101": 1, "999": 1}, "phone": "desk1", "pin": "1234"},
            "4002": {"name": "Bob", "skills": {"101": 1}},
        },
        "phone": {"desk1": {}, "home": {"kind": "trunk", "trunk": "gateway", "number": "5551"}},
    }


@pytest.fixture
def configuration() -> Configuration:
    """The small site."""
    return Configuration.model_validate(site())
