"""From a database to a warehouse: the tables are those of the source, whatever is killed meanwhile.

The servers are real (`scripts/cdc-lab`), and so is the run that follows them.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cdc_lab.packages import debezium_jars, kafka_jars
from cdc_lab.workload import Workload
from support.chain import SAMPLED, Chain
from support.processes import PATIENCE
from support.samples import sampled

from medallion_jobs.errors import MedallionError


@pytest.fixture(scope="session")
def _jars() -> None:
    try:
        kafka_jars()
        debezium_jars()
    except MedallionError as error:
        pytest.skip(f"no jars of Kafka and Debezium: {error}")


@pytest.fixture
def chain(tmp_path: Path, _jars: None) -> Iterator[Chain]:
    made = Chain(tmp_path)
    yield made
    made.kill()
    made.lab.remove()


def load(chain: Chain, changes: int, seed: int, **how: Any) -> None:
    Workload(chain.lab.postgres, seed=seed, **how).run(changes)


def test_five_hundred_changes_come_to_the_tables_of_the_source(chain: Chain) -> None:
    chain.lab.up()
    load = Workload(chain.lab.postgres, seed=1, alter=True)
    with sampled(chain.lab, SAMPLED, load, range(100, 500, 100)) as samples:
        load.run(500)
    chain.sent()
    chain.does("run")
    assert chain.differences() == []
    assert len(samples) == 4
    chain.assert_replays(samples)


@pytest.mark.slow
def test_twenty_thousand_changes_come_to_the_tables_of_the_source(chain: Chain) -> None:
    chain.lab.up()
    chain.start()
    load = Workload(chain.lab.postgres, seed=1, rate=300, alter=True)
    with sampled(chain.lab, SAMPLED, load, range(900, 20_000, 900)) as samples:
        load.run(20_000)
    chain.sent()
    chain.settle()
    run = chain.start()
    run.send_signal(signal.SIGTERM)
    assert run.wait(PATIENCE) == 0
    assert len(samples) == 22
    chain.assert_replays(samples)


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
