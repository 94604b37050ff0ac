"""A key change carries over the values that the database did not send."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.written import Written

SETTINGS = {"keys": "id", "sequence_by": "at", "apply_as_deletes": "op = 'd'"}
BESIDE = "at int, op string, _unavailable array<string>, _old_key struct<id: int>"


@pytest.mark.parametrize("kind", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_values_go_along_with_a_row_whose_key_changes(
    spark: Any, tmp_path: Path, kind: int
) -> None:
    settings = {**SETTINGS, "stored_as_scd_type": kind}
    table = Written(
        spark,
        tmp_path / "silver" / "moved",
        "id int, v int, long string, longer string, _rescued_data string",
        {"apply_changes": settings},
        BESIDE,
    )
    both = ["long", "longer"]
    # The key 7 had another row before, which is deleted.
    table.write(
        (1, 1, "a", "b", None, 1, "c", None, None),
        (7, 0, "old", "old", None, 1, "c", None, None),
        (7, None, None, None, None, 2, "d", None, None),
    )
    # 1 becomes 7, and then 8, and then 9, and each time a part is sent.
    table.write(
        (9, 5, None, None, None, 9, "c", both, (8,)),
        (8, 4, None, "c", None, 8, "c", ["long"], (7,)),
        (8, None, None, None, None, 9, "d", None, None),
        (7, 2, None, None, None, 5, "c", both, (1,)),
        (7, 3, None, None, None, 6, "u", both, None),
        (1, None, None, None, None, 5, "d", None, None),
        (7, None, None, None, None, 8, "d", None, None),
        # Whatever 3 was, no row of it is known.
        (4, 1, None, None, None, 6, "c", both, (3,)),
    )
    rows = {row[0]: row for row in table.rows() if kind == 1 or row[-1] is None}
    assert rows.keys() == {9, 4}
    assert rows[9][:5] == (9, 5, "a", "c", None)
    assert rows[4][:4] == (4, 1, None, None)
    assert "values that were not sent are unknown" in rows[4][4]
    if kind == 2:
        assert (7, 3, "a", "b", None, 6, 8) in table.rows()
    # Later, in another batch.
    table.write(
        (9, None, None, None, None, 11, "d", None, None),
        (10, 6, None, None, None, 11, "c", both, (9,)),
    )
    assert (10, 6, "a", "c") in {row[:4] for row in table.rows()}
