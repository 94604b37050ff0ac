"""`medallion`, but it kills itself with -9 at a named point of the second batch from Kafka.

DIES_AT names the point; the first batch goes through.
"""

from __future__ import annotations

import os

from medallion_jobs.cli import main
from medallion_jobs.kafkaloader.batch import BatchLoad
from medallion_jobs.kafkaloader.loader import KafkaLoader
from support.dies_at import at_second_call

POINTS = {
    "after_the_offset": (KafkaLoader, "write", True),
    "after_the_bronze_commit": (BatchLoad, "_put_bad", True),
    "after_the_quarantine": (BatchLoad, "_put_bad", False),
    "before_the_commit_log": (KafkaLoader, "write", False),
}


def arm(point: str) -> None:
    owner, name, before = POINTS[point]
    setattr(owner, name, at_second_call(getattr(owner, name), before=before))


if __name__ == "__main__":
    arm(os.environ["DIES_AT"])
    main()
