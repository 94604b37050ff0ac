"""When batches start, and what happens to a query that fails in a continuous run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from medallion_jobs.config.fields import Attempts, Time
from medallion_jobs.config.frozen import Frozen
from medallion_jobs.config.units import parse_time


class Restart(Frozen):
    """How a query is started again that failed for a cause that may pass."""

    max_attempts: Attempts = Field(
        default=20,
        description="With --continuous: how often in a row a query is started again that failed "
        "for a cause that may pass; a finished batch starts the count again.",
    )
    first_delay: Time = Field(
        default=parse_time("1s"),
        json_schema_extra={"default": "1s"},
        description="The longest wait before the first of these starts; it doubles with each.",
    )
    max_delay: Time = Field(
        default=parse_time("5m"),
        json_schema_extra={"default": "5m"},
        description="The longest wait before any of them.",
    )
    on_give_up: Literal["finish", "stop"] = Field(
        default="finish",
        description="With --continuous, once a table has failed for good: go on with the tables "
        "that do not read it until the run is stopped, or stop the run.",
    )


class Trigger(Frozen):
    """When the next batch starts."""

    interval: Time = Field(
        default=parse_time("10s"),
        json_schema_extra={"default": "10s"},
        description="With --continuous: how often to look for new files; silver and gold follow.",
    )
    batch_timeout: Time | None = Field(
        default=None,
        description="A batch that takes longer is cancelled, and counts as one that failed for a "
        "cause that may pass; unset, a batch may take any time.",
    )
    restart: Restart = Field(
        default_factory=Restart,
        description="How a query is started again that failed in a continuous run.",
    )
