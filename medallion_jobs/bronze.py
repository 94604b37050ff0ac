"""Bronze: files to an append-only table, every record accounted for.

    files -> ledger -> records -> rows, rescued values, quarantined records

Run by spark-submit (`spark-submit … medallion_jobs/bronze.py --config conf/sales.yaml`) or by
`medallion run bronze`: one way through the code.
"""

from __future__ import annotations

from medallion_jobs.autoloader import AutoLoader
from medallion_jobs.config import Pipeline
from medallion_jobs.engine import runner


def streams(config: Pipeline) -> list[AutoLoader]:
    """The layer's queries, in the order in which they are declared."""
    return [AutoLoader.to_table(config, name) for name in config.bronze]


if __name__ == "__main__":
    runner.submitted(streams)
