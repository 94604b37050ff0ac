"""Rows that stop a whole batch, and the error that shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from medallion_jobs.config import SilverTable
from medallion_jobs.refine import lookup
from medallion_jobs.refine.expectations import rules, stop

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

FAILURES = (PySparkException, Py4JJavaError)
_NO_MATCH = "a row has no match in a dimension, which stops the batch"


def stopped(judged: DataFrame, table: SilverTable) -> DataFrame:
    """The same rows; reading them fails at the first row that stops the batch."""
    stops = stop.stops(table.expect)
    if stops is not None:
        judged = judged.where(stops)
    if any(config.on_miss == "fail" for config in table.lookups):
        failure = F.raise_error(F.lit(_NO_MATCH)).cast("boolean")
        fails = lookup.fails(table.lookups)
        judged = judged.where(F.when(fails, failure).otherwise(F.lit(True)))
    return judged


def refuse_too_many(judged: Callable[[], DataFrame], table: SilverTable, name: str) -> None:
    """Counts the batch before it is written, if a rule has `at_most`.

    Raises:
        DataError: more rows break the rule than `at_most` allows.
    """
    limited = {key: rule for key, rule in table.expect.items() if rule.at_most is not None}
    if not limited:
        return
    counts = stop.measured(judged(), limited)
    if rules.beyond(limited, rules.counts_of(limited, counts), counts["rows"]):
        raise stop.explain_failure(judged(), limited, keys_of(table), name)


def explained(
    failure: BaseException, judged: Callable[[], DataFrame], table: SilverTable, name: str
) -> BaseException:
    """The error that shows which rows stopped the batch; `failure` itself if none did."""
    if stop.was_stopped(failure):
        return stop.explain_failure(judged(), table.expect, keys_of(table), name)
    if _NO_MATCH in str(failure):
        return lookup.explain_failure(judged(), table.lookups, name) or failure
    return failure


def keys_of(table: SilverTable) -> tuple[str, ...]:
    """The columns that identify a row; empty if the config names none."""
    return table.identity or (table.dedupe.keys if table.dedupe else None) or ()
