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
        "emergency": {"buddy_phone": "buddy"},
        "capacity": {"channels_101": 5},
        "not_ready": {"reasons": ["break", "lunch break"]},
        "wrap_up": {"codes": ["crime", "antisocial behaviour"]},
        "triage": {"queues": ["welsh", "emergency"]},
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
            "welsh": {"number": "1012", "tier": "101", "queue": "welsh", "language": "cy"},
            "test": {"number": "5990", "tier": "999", "queue": "emergency", "test_phone": "test1"},
        },
        "agent": {
            "4001": {"name": "Ann", "skills": {"101": 1, "999": 1}, "phone": "desk1", "pin": "1234"},
            "4002": {"name": "Bob", "skills": {"101": 1}},
            "4900": {"name": "Sue", "skills": {"999": 1}, "phone": "desk9", "supervisor": True},
        },
        "phone": {
            "desk1": {},
            "desk9": {},
            "test1": {},
            "home": {"kind": "trunk", "trunk": "gateway", "number": "5551"},
            "buddy": {"kind": "trunk", "trunk": "gateway", "number": "5559"},
        },
    }


@pytest.fixture
def configuration() -> Configuration:
    """The small site."""
    return Configuration.model_validate(site())
