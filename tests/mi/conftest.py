"""A ledger made once, and copied for whoever needs one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge.mi.services import open_services
from tests.mi.serving import ledger_of

CALLS = 40


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ledger of `CALLS` calls, and MI's own file."""
    folder = tmp_path_factory.mktemp("made")
    open_services(ledger_of(folder, CALLS)).close()
    return folder


@pytest.fixture
def url(made: Path, tmp_path: Path) -> str:
    """A ledger of the test's own."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
