"""Fixtures for all tiers: the one Spark session of a test process, and a lake for each test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from support.kafka_topics import WithLogin
    from support.lake import Lake

    from medallion_jobs.observe.events import Event

TIERS_WITH_A_JVM = {"spark", "recovery", "e2e"}


# The files that take longest, the longest first. Two processes share the files of a tier: a long
# one at the end would leave one of them idle.
LONGEST_FIRST = (
    # e2e, recovery, spark, unit
    *("test_change_data", "test_continuous", "test_readme", "test_containers_on_host"),
    *("test_operations", "test_two_hundred_files", "test_no_secret_is_told", "test_bare_submit"),
    *("test_kill_rebuild", "test_objects", "test_kill", "test_refusals", "test_kill_points"),
    *("test_kill_kafka", "test_run_records", "test_kill_load"),
    *("test_upstream_changes", "test_rebuild", "test_change_messages", "test_descriptions"),
    *("test_bad_input", "test_bad_files", "test_branches", "test_warehouse", "test_snapshot"),
    *("test_late_dimensions", "test_change_files", "test_ambiguous", "test_kept_whole"),
    *("test_odd_names", "test_gaps", "test_auto_cdc", "test_batch_cost", "test_rescued_parts"),
    *("test_changes", "test_testing", "test_all_aside", "test_policies", "test_maintain"),
    *("test_query_formats", "test_submit", "test_query_confined"),
)


def pytest_configure() -> None:
    # A suite in the background (`scripts/test &`, `nohup`) may ignore SIGINT, and so would the
    # programs that it starts: tests that send them a SIGINT would wait in vain.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _tier(item) in TIERS_WITH_A_JVM:
            item.add_marker(pytest.mark.spark)
    ranks = {name: rank for rank, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))


def _tier(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).parts[0]


# Hundreds of tiny tables on two cores: one task for each scan, and no collector that works beside.
_SMALL = (
    "spark.databricks.delta.snapshotPartitions=1",
    "spark.sql.files.minPartitionNum=1",
    "spark.sql.leafNodeDefaultParallelism=1",
)
_FOR_MANY_TESTS = "-XX:+UseParallelGC"


@pytest.fixture(scope="session")
def spark(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SparkSession]:
    """One session, made as the jobs make it; tests are kept apart by their folders."""
    from support.lake import Lake
    from support.processes import SHORT_LIVED

    from medallion_jobs.engine import session

    small = (f"spark.conf.{setting}" for setting in _SMALL)
    lake = Lake.at(tmp_path_factory.mktemp("session"), "spark.master=local[2]", *small)
    tiers = {_tier(item) for item in request.session.items}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JDK_JAVA_OPTIONS", _FOR_MANY_TESTS if "spark" in tiers else SHORT_LIVED)
        if any("kafka" in item.path.stem for item in request.session.items):
            from medallion_jobs.runtime.jars import KAFKA, delta_jars

            patch.setenv("SPARK_DIST_CLASSPATH", os.pathsep.join(map(str, delta_jars(KAFKA))))
        made = session.build(lake.config)
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def _no_table_is_kept_in_mind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Delta keeps the state of each table for an hour; those of hundreds of lakes fill the heap."""
    yield
    if "spark" in request.fixturenames:
        jvm = request.getfixturevalue("spark").sparkContext._jvm
        jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WithLogin]:
    """One Kafka broker for all tests; each makes topics of its own."""
    from support.kafka_topics import WithLogin

    made = WithLogin(tmp_path_factory.mktemp("kafka"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake with the fifteen customers, and no landed file."""
    return _seeded(tmp_path)


class SalesRun(NamedTuple):
    """A finished lake, and what its run told."""

    lake: Lake
    events: tuple[Event, ...]


@pytest.fixture(scope="session")
def sales(sales_run: SalesRun) -> Lake:
    """A finished lake, of clean, dirty and only dirty files. To be read, or copied."""
    return sales_run.lake


@pytest.fixture(scope="session")
def sales_run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SalesRun:
    from support.lake import order

    lake = _seeded(tmp_path_factory.mktemp("sales"))
    for seed, dirty in enumerate((0, 0.05, 1.0)):
        lake.generate(3, seed=seed, dirty=dirty, new_column_from=3)
    nothing_to_add = order(order_id="o-none", quantity=None, order_timestamp="2020-01-01 00:00:00")
    lake.drop("nothing_to_add.json", nothing_to_add)
    return SalesRun(lake, tuple(lake.run()))


def _seeded(folder: Path) -> Lake:
    from support.lake import Lake

    lake = Lake.at(folder)
    lake.generate(0)
    lake.folder.mkdir(parents=True, exist_ok=True)
    return lake
