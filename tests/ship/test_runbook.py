"""What the runbook says to do in the shared database by hand."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from edge.core.facts import CallArrived
from edge.ledger.measure import arrivals
from edge.ledger.store import open_reader, open_sql_ledger
from tests.ship.conftest import Shared, Ship, level

RUNBOOK = Path(__file__).parents[2] / "docs/runbook.md"


def test_erasing_in_the_copy_of_a_replaced_ledger(shared: Shared, shipper: Ship, url: str) -> None:
    """As it stands there: the calls with that number are found, their data goes, the rest and the chain stay."""
    ((find, erase),) = (
        block.split(";\n\n") for block in re.findall(r"```sql\n(.*?)\n```", RUNBOOK.read_text(), re.DOTALL)
    )
    written = ("07700 900123", "+441632960001")
    with closing(open_sql_ledger(url)) as ledger:
        for sequence, number in enumerate(written, ledger.last_sequence() + 1):
            (one,) = arrivals(sequence, 1)
            assert isinstance(one.fact, CallArrived)
            ledger.append([replace(one, fact=replace(one.fact, caller_number=number))])
    level(shipper(url))
    with closing(open_reader(url)) as reader:
        ledger_id, kept = reader.ledger_id, reader.personal_data(0, 1000)
    theirs = sorted(str(data.call_id) for data in kept[:-1])
    found = sorted(call_id for (call_id,) in shared.rows(find.replace("REPLACED", ledger_id)))
    assert found == theirs
    with shared.server.connect(shared.name) as connection:
        words = erase.replace("REPLACED", ledger_id).replace(
            "'CALL'", ", ".join(f"'{each}'" for each in found)
        )
        assert connection.execute(words.encode()).rowcount == len(theirs)
    assert shared.rows("SELECT sequence FROM edge101.personal") == [(kept[-1].sequence,)]
    verified = shared.verified(url)
    assert (verified.sound, verified.erased) == (True, len(theirs))
