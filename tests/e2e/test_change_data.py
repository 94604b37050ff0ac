"""From a database to a warehouse: the tables are those of the source, whatever is killed meanwhile.

The servers are real (`scripts/cdc-lab`), and so is the run that follows them.
"""

from __future__ import annotations

import json
import random
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from cdc_lab import shop
from cdc_lab.packages import debezium_jars, kafka_jars
from cdc_lab.workload import Workload
from support.chain import SAMPLED, Chain
from support.processes import PATIENCE
from support.samples import changes_in, sampled

from medallion_jobs.errors import MedallionError


@pytest.fixture(scope="session")
def _jars() -> None:
    try:
        kafka_jars()
        debezium_jars()
    except MedallionError as error:
        pytest.skip(f"the jars of Kafka and Debezium cannot be had: {error.what}")


@pytest.fixture
def chain(tmp_path: Path, _jars: None) -> Iterator[Chain]:
    made = Chain(tmp_path)
    yield made
    made.kill()
    made.lab.remove()


def load(chain: Chain, changes: int, seed: int, **how: Any) -> None:
    Workload(chain.lab.postgres, seed=seed, **how).run(changes)


def test_five_hundred_changes_come_to_the_tables_of_the_source(chain: Chain) -> None:
    chain.lab.postgres.start()
    shop.create(chain.lab.postgres)
    load(chain, 100, seed=2)  # these come as rows of a snapshot
    chain.lab.up()
    work = Workload(chain.lab.postgres, seed=1, alter=True)
    with sampled(chain.lab, SAMPLED, work, range(100, 500, 100)) as samples:
        work.run(500)
    chain.sent()
    chain.does("run")
    assert chain.differences() == []
    assert len(samples) == 4
    chain.assert_replays(samples)
    assert_drawn(chain)


def assert_drawn(chain: Chain) -> None:
    """The saved query and the picture have the turnover of the source."""
    of_source = chain.lab.postgres.rows(
        "SELECT placed::date, sum(total), count(*) FROM orders WHERE state IN ('paid', 'sent') "
        "GROUP BY 1 ORDER BY 1"
    )
    saved = json.loads(chain.does("query", "--saved", "turnover", "--format", "json"))
    assert [(row["day"], row["turnover"], row["orders"]) for row in saved] == [
        (str(day), None if total is None else str(total), orders)
        for day, total, orders in of_source
    ]
    known = [(day, total) for day, total, _ in of_source if total is not None]
    assert f"{len(known)} days drawn" in chain.lab_does("draw", "--out", "pictures/turnover.svg")
    drawn = ElementTree.parse(chain.folder / "pictures" / "turnover.svg")
    titles = [title.text for title in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == [f"{day}: {total:,}" for day, total in known]


@pytest.mark.slow
def test_twenty_thousand_changes_come_to_the_tables_of_the_source(chain: Chain) -> None:
    chain.lab.up()
    chain.start()
    work = Workload(chain.lab.postgres, seed=1, rate=300, alter=True)
    with sampled(chain.lab, SAMPLED, work, range(900, 20_000, 900)) as samples:
        work.run(20_000)
    chain.sent()
    chain.settle()
    run = chain.start()
    run.send_signal(signal.SIGTERM)
    assert run.wait(PATIENCE) == 0
    assert len(samples) == 22
    chain.assert_replays(samples)


@pytest.mark.slow
def test_how_long_changes_take(chain: Chain) -> None:
    chain.lab.up()
    chain.start()
    load(chain, 600, seed=3, rate=20)
    chain.sent()
    chain.settle()
    changes = len(changes_in(chain.lab, "shop.public.orders"))
    told = chain.lab_does("latency", "--lake", str(chain.folder / "lake")).splitlines()
    found = {}
    for line in told:
        table, *numbers = re.fullmatch(
            r"(\S+): ([\d,]+) changes, from commit to commit: "
            r"p50 ([\d.]+) s, p99 ([\d.]+) s, at most ([\d.]+) s",
            line,
        ).groups()  # type: ignore[union-attr]
        count, *seconds = (float(number.replace(",", "")) for number in numbers)
        assert count == changes
        assert seconds == sorted(seconds)
        assert 0 < seconds[-1] < PATIENCE
        found[table] = seconds
    assert found["bronze.orders_changes"] < found["silver.orders"]


@pytest.mark.slow
def test_twelve_kills_leave_no_difference(chain: Chain) -> None:
    choice = random.Random(12)
    chain.lab.up()
    chain.start()
    servers = [chain.lab.broker, chain.lab.connect, chain.lab.postgres]
    victims = [*servers, None] * 3
    choice.shuffle(victims)
    for seed, victim in enumerate(victims, 1):
        load(chain, 400, seed=seed, rate=200)
        time.sleep(choice.uniform(0, 5))
        if victim is None:
            chain.kill()
        else:
            victim.kill()
            time.sleep(choice.uniform(0, 3))
        chain.lab.up()
        chain.start()
    chain.settle()
