"""A silver table outside any pipeline: batches go in by `modes.write`, rows come out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medallion_jobs.config import SilverTable
from medallion_jobs.lake import tables
from medallion_jobs.lake.tables import Txn

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from medallion_jobs.refine.write.modes import WriteResult


@dataclass
class Written:
    """A table at `path` whose declared columns are `ddl`.

    Attributes:
        settings: of the table, as in a config; `from` is there.
        hidden: DDL of what rows have besides, and the table has not.
    """

    spark: SparkSession
    path: Path
    ddl: str
    settings: dict[str, Any]
    hidden: str = ""
    batch: int = -1
    app_id: str = "silver.made/v1"
    columns: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        from pyspark.sql.types import StructType

        from medallion_jobs.lake.tables import schema as schemas
        from medallion_jobs.refine.write import apply_changes, modes
        from medallion_jobs.refine.write.change_log import ChangeLog

        declared, computed = schemas.parse_ddl(self.ddl), self.frame().schema
        if changes := self.table.apply_changes:
            changes = changes.spelled_as(computed.names)
            declared = StructType([declared[name] for name in changes.columns_of(declared.names)])
            kind = apply_changes.sequence_type(computed, changes.sequence_by)
            log = ChangeLog(self.changes, changes.keys)
            columns = log.schema(declared, changes.keys, kind)
            log.ensure(self.spark, columns, is_rebuild=False)
        self.columns = tuple(declared.names)
        for extra in modes.extra_fields(self.table, declared, computed):
            declared = declared.add(extra)
        tables.create(self.spark, self.path, declared, comment="made for a test")

    @property
    def table(self) -> SilverTable:
        return SilverTable.model_validate({"from": "bronze.made", **self.settings})

    @property
    def graves(self) -> Path:
        return self.path.with_name(f"{self.path.name} graves")

    @property
    def changes(self) -> Path:
        return self.path.with_name(f"{self.path.name} changes")

    def frame(self, *rows: tuple[Any, ...]) -> DataFrame:
        from pyspark.sql import functions as F

        from medallion_jobs.lake.hidden_columns import ROW

        ddl = ", ".join(filter(None, (self.ddl, self.hidden)))
        frame = self.spark.createDataFrame(list(rows), ddl)
        # A shaped row has a copy of itself.
        return frame.withColumn(ROW, F.struct(*frame.columns)) if self.hidden else frame

    def write(self, *rows: tuple[Any, ...], **options: Any) -> WriteResult:
        """Writes a new batch."""
        self.batch += 1
        return self.write_frame(self.frame(*rows), **options)

    def write_frame(
        self,
        rows: DataFrame,
        *,
        run: str = "run 1",
        watermark: datetime | None = None,
        marks: DataFrame | None = None,
    ) -> WriteResult:
        """Writes rows as the newest batch, again if it was written before."""
        from medallion_jobs.refine.write import modes

        return modes.write(
            rows,
            self.table,
            self.path,
            self.columns,
            Txn(self.app_id, self.batch, run, {"moment": "now"}),
            tombstones=self.graves,
            changes=self.changes,
            watermark=watermark,
            marks=marks,
        )

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        """The table's rows, sorted; of all its columns or of these."""
        rows = self.spark.read.format("delta").load(str(self.path))
        rows = rows.select(*columns) if columns else rows
        return sorted((tuple(row) for row in rows.collect()), key=repr)

    def commit(self) -> tables.Commit:
        """The newest batch's commit."""
        found = tables.commit_of(self.path, self.app_id, self.batch)
        assert found, f"no commit of batch {self.batch}"
        return found
