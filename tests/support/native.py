"""Spark's own file source, as it comes, held against ours; the table of where they differ."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.lake import ROOT, rows_at

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import DataStreamWriter, StreamingQuery

SCHEMA = (
    "order_id string, customer_id bigint, product_id bigint, quantity int, "
    "order_timestamp timestamp"
)
# What a session needs to write Delta, and what only makes its small tables quicker.
_KEPT = {
    "spark.sql.extensions",
    "spark.sql.catalog.spark_catalog",
    "spark.databricks.delta.snapshotPartitions",
    "spark.sql.shuffle.partitions",
}

PAGE = ROOT / "docs" / "autoloader.md"
BEGIN, END = "<!-- probes -->", "<!-- /probes -->"
HEAD = ("| # | probe | Spark's file source | here |", "|---|---|---|---|")
# Set, the page's table is written and not compared.
WRITES = "MEDALLION_WRITE_DOCS" in os.environ
# By number: the probe, what native does, what is done here.
PROBES = {
    1: (
        "a file changed 8 days before the newest one (a restored archive)",
        "never read, without a message",
        "read",
    ),
    2: (
        "a file that is still being written",
        "a row, a row of nulls, and the rest is lost",
        "read once, completely",
    ),
    3: (
        "a file that is deleted between a crash and the restart",
        "fewer rows, without a message",
        "`MISSING` in the ledger, or an error with its name (`on_missing_file`)",
    ),
    4: (
        "a new field",
        "vanishes",
        "a new column, `_rescued_data` or an error (`schema_evolution`)",
    ),
    5: (
        "a text where a number was",
        "null, and the text is lost",
        "null, and the text is in `_rescued_data`",
    ),
    6: (
        "a line that is cut off",
        "a row of nulls",
        "a quarantine row: file, line, reason, batch",
    ),
    7: (
        "one broken `.gz` among 100 files",
        "the query dies, and dies again at each restart",
        "99 files loaded, one `QUARANTINED` with its error",
    ),
    8: (
        "a file that is overwritten",
        "never read again",
        "ignored, replaced, read in addition, or an error (`on_changed_file`)",
    ),
    9: (
        "cleaning up after runs that end (`availableNow`)",
        "the last batch's files stay forever",
        "cleaned (`clean_source`)",
    ),
    10: (
        "caps on files and on bytes together; `10m`",
        "both are refused",
        "the lower of the two holds; sizes as `10m` or `2g`",
    ),
    11: (
        "a misspelt option",
        "ignored",
        "an error that names the most similar option",
    ),
    12: (
        "metrics of the source",
        "none",
        "waiting files and bytes, the oldest of them, the time of the listing",
    ),
    13: (
        "what a batch keeps of the files that were read before it",
        "every path, in a log that is rewritten every tenth batch",
        "nothing: the checkpoint does not grow with the number of files",
    ),
    14: (
        "a batch of more than 32 files",
        "a Spark job with one task per file, only to list them again",
        "no such job",
    ),
}


def as_spark_comes(spark: SparkSession) -> SparkSession:
    """A session on the same JVM in which the file source's settings are Spark's defaults."""
    native = spark.newSession()
    for key in native.conf.getAll:
        if key not in _KEPT and native.conf.isModifiable(key):
            native.conf.unset(key)
    return native


@dataclass(frozen=True)
class Native:
    """A notebook's bronze step: JSON files of one folder into one Delta table.

    Attributes:
        folder: where its files land.
        state: where its table and its checkpoint lie.
    """

    spark: SparkSession
    folder: Path
    state: Path

    def run(self, **options: object) -> StreamingQuery:
        """Reads what is there and ends; raises what the query failed of."""
        return _ended(self._table(self._read(options)))

    def pass_over(self, **options: object) -> StreamingQuery:
        """Reads what is there into nothing, with a checkpoint all the same."""
        rows = self._read(options).writeStream.format("noop")
        return _ended(rows.option("checkpointLocation", str(self.checkpoint)))

    def plan_only(self, **options: object) -> None:
        """Plans a batch that does not come to its end, as in a crash."""
        self.run(**options)
        commits = self.checkpoint / "commits"
        for file in commits.iterdir():
            file.unlink()
        shutil.rmtree(self.table)

    @property
    def table(self) -> Path:
        return self.state / "table"

    @property
    def checkpoint(self) -> Path:
        return self.state / "checkpoint"

    @property
    def source_log(self) -> Path:
        """The folder in which the source notes every file that it has ever seen."""
        return self.checkpoint / "sources" / "0"

    def rows(self) -> list[dict[str, Any]]:
        return rows_at(self.table)

    def rows_of(self, name: str) -> list[dict[str, Any]]:
        """The rows of one file, without the column that names it."""
        return [
            {key: value for key, value in row.items() if key != "_input_file"}
            for row in self.rows()
            if row["_input_file"].endswith(f"/{name}")
        ]

    def _read(self, options: dict[str, object]) -> DataFrame:
        reader = self.spark.readStream.schema(SCHEMA)
        for key, value in options.items():
            reader = reader.option(key, str(value))
        rows = reader.json(str(self.folder))
        return rows.selectExpr("*", "_metadata.file_path AS _input_file")

    def _table(self, rows: DataFrame) -> DataStreamWriter:
        writer = rows.writeStream.format("delta").option("path", str(self.table))
        return writer.option("checkpointLocation", str(self.checkpoint))


def _ended(writer: DataStreamWriter) -> StreamingQuery:
    query = writer.trigger(availableNow=True).start()
    query.awaitTermination()
    return query


def listing_jobs(spark: SparkSession) -> int:
    """Spark jobs so far that did nothing but list files."""
    # pyspark's status tracker knows jobs by their group alone, and these have several.
    context: Any = spark.sparkContext._jsc
    jobs = context.sc().statusStore().jobsList(None)
    texts = (jobs.apply(n).description() for n in range(jobs.size()))
    return sum("Listing leaf files" in str(text) for text in texts)


class Table:
    """The table of probes: what the page has, and what this session saw."""

    def __init__(self, page: Path = PAGE) -> None:
        self._page = page
        self._lines: dict[int, str] = {}

    def record(self, number: int) -> None:
        """Notes that a probe saw what its line says; the page must have it to the letter."""
        line = f"| {number} | {' | '.join(PROBES[number])} |"
        self._lines[number] = line
        if not WRITES:
            assert line in self._told, f"{self._page} lacks this line:\n{line}"

    @property
    def numbers(self) -> list[int]:
        """The numbers of the probes in the page's table."""
        return [_number(line) for line in self._told]

    @property
    def _told(self) -> list[str]:
        """The lines of the page's table, without its head."""
        between = self._page.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
        return [line for line in between.splitlines() if line.strip()][len(HEAD) :]

    def write(self) -> None:
        """Puts what was seen in the place of what the page has; other lines stay."""
        before, rest = self._page.read_text(encoding="utf-8").split(BEGIN)
        lines = {_number(line): line for line in self._told} | self._lines
        table = "\n".join([*HEAD, *(lines[number] for number in sorted(lines))])
        after = rest.split(END)[1]
        self._page.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def _number(line: str) -> int:
    return int(line.split("|")[1])
