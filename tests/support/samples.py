"""What a table of the shop was at moments in between, and which changes had led to it.

A sample is one snapshot of PostgreSQL: the rows that it sees, and the transactions that it sees
(`pg_current_snapshot`). Each message of Debezium has the number of its transaction, so it is known
of each change whether it is in the sample. No clock and no position in the log is compared: a
change that was written before the sample may be committed after it.

The transactions that a snapshot sees are the first ones by their commit, as long as no two commit
at the same time. The workload sees to that: it waits for a commit before it goes on.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psycopg
from cdc_lab.lab import Lab
from cdc_lab.topics import topics
from cdc_lab.workload import Workload

# The commit before the change and its own place: the order of `conf/orders_cdc.yaml`.
Position = tuple[int, int]


@dataclass(frozen=True)
class Sample:
    """The rows of a snapshot; `before` and `running` are numbers of transactions.

    Attributes:
        before: it sees none from this number on.
        running: those below it that had not ended.
    """

    rows: list[str]
    before: int
    running: frozenset[int]

    def sees(self, transaction: int) -> bool:
        """Whether it sees the changes of a transaction that was committed."""
        return transaction < self.before and transaction not in self.running


@contextmanager
def sampled(lab: Lab, query: str, load: Workload, moments: Sequence[int]) -> Iterator[list[Sample]]:
    """What `query` returns while a load goes on: each time when it has made so many changes.

    Every other sample waits for a moment at which a transaction is open that began before one
    that has ended.
    """
    found: list[Sample] = []
    is_over = threading.Event()

    def sample() -> None:
        with closing(lab.postgres.connect()) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            for number, moment in enumerate(moments):
                while load.done < moment and not is_over.wait(0.001):
                    pass
                while not (taken := _taken(connection, query, overlaps=number % 2 == 0)):
                    if is_over.is_set():
                        return
                found.append(taken)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield found
    finally:
        is_over.set()
        sampler.join()


def _taken(
    connection: psycopg.Connection[tuple[object, ...]], query: str, *, overlaps: bool
) -> Sample | None:
    """A sample; None if transactions should overlap and do not."""
    with connection.transaction():
        ((seen,),) = connection.execute("SELECT pg_current_snapshot()::text").fetchall()
        _, before, running = str(seen).split(":")
        if overlaps and not running:
            return None
        rows = sorted(map(repr, connection.execute(query.encode()).fetchall()))
    return Sample(rows, int(before), frozenset(int(one) for one in running.split(",") if one))


def changes_in(lab: Lab, topic: str) -> list[tuple[Position, int]]:
    """The changes in a topic, each once: where it stands, and the number of its transaction.

    A row of the connector's first snapshot has 0 for both its commit and its transaction: it is
    older than all that follows.
    """
    found = set()
    with topics(lab.broker.address) as read:
        for record in read.records([topic]):
            if record.value:
                change = json.loads(record.value)["payload"]
                commit, own = json.loads(change["source"]["sequence"])
                if change["op"] == "r":
                    found.add(((0, int(own)), 0))
                else:
                    found.add(((int(commit or own), int(own)), int(change["source"]["txId"])))
    return sorted(found)


def positions(lab: Lab, topic: str, samples: Sequence[Sample]) -> list[Position]:
    """The position of the last change that each sample sees.

    Raises:
        AssertionError: a sample lacks a change that stands before that position.
    """
    changes = changes_in(lab, topic)
    found = []
    for sample in samples:
        seen = [at for at, transaction in changes if sample.sees(transaction)]
        assert seen == [at for at, _ in changes[: len(seen)]]
        found.append(seen[-1])
    return found
