"""Keys of history that contradict each other, in changes and in dumps."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from medallion_jobs.config import ApplyChanges, Snapshot

KINDS = [(ApplyChanges, {"sequence_by": "at"}), (Snapshot, {"dump": "file"})]
WRONG = [
    ({"track_history_column_list": "a"}, "needs `stored_as_scd_type: 2`"),
    (
        {
            "stored_as_scd_type": 2,
            "track_history_column_list": "a",
            "track_history_except_column_list": "b",
        },
        "give only one",
    ),
    ({"stored_as_scd_type": 2, "track_history_column_list": ["ID"]}, "a column of `keys`"),
]


@pytest.mark.parametrize(("kind", "needed"), KINDS)
@pytest.mark.parametrize(("keys", "reason"), WRONG)
def test_they_are_refused(
    kind: type[BaseModel], needed: dict[str, Any], keys: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        kind.model_validate({"keys": "id", **needed, **keys})
    right = {"stored_as_scd_type": 2, "track_history_column_list": "a"}
    assert kind.model_validate({"keys": "id", **needed, **right})
