"""Bronze: loads files and Kafka topics into append-only tables and accounts for every record.

    files -> ledger -> records -> rows, rescued values, quarantined records
    topics -> offsets -> messages -> rows, quarantined messages

Run it with spark-submit (`spark-submit … medallion_jobs/bronze.py --config conf/sales.yaml`) or
`medallion run bronze`; both run the same code.
"""

from __future__ import annotations

from medallion_jobs.autoloader import AutoLoader
from medallion_jobs.config import Pipeline
from medallion_jobs.engine import runner
from medallion_jobs.kafkaloader import KafkaLoader


def streams(config: Pipeline) -> list[AutoLoader | KafkaLoader]:
    """The layer's queries, in the order in which they are declared."""
    return [
        KafkaLoader(config, name)
        if name in config.kafka_sources
        else AutoLoader.to_table(config, name)
        for name in config.bronze
    ]


if __name__ == "__main__":
    runner.submitted(streams)
