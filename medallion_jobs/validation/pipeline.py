"""Checks a whole config with Spark itself.

Builds every table from empty DataFrames, in the order in which they read each other. Starts no
query and writes nothing. What fails is replaced by a column without values, or left out, so that
the rest is checked as well, and one mistake is one problem.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from pyspark.sql.types import StructType

from medallion_jobs.autoloader import AutoLoader
from medallion_jobs.autoloader.schemas.columns import BronzeColumns
from medallion_jobs.autoloader.schemas.registry import Registry
from medallion_jobs.config import ConfigError, KafkaSource, Loaded, TableRef, nearest
from medallion_jobs.kafkaloader import decoders
from medallion_jobs.kafkaloader.columns import of_table as of_topics
from medallion_jobs.lake import paths, tables
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import layout as layouts
from medallion_jobs.storage import children
from medallion_jobs.validation.findings import Findings, reads_unknown
from medallion_jobs.validation.gold_table import GoldCheck
from medallion_jobs.validation.silver_table import SilverCheck

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def check(
    spark: SparkSession, loaded: Loaded, *, config_only: bool = False, next_step: str = ""
) -> dict[TableRef, StructType]:
    """The schema that each table of the pipeline will have.

    Leaves out tables that read a bronze table whose columns are not known: they are inferred,
    and there are no files.

    Args:
        config_only: leave out what the config alone does not say: do not look at files, and
            take it that tables of others exist.
        next_step: what to do about mistakes.

    Raises:
        ConfigError: every mistake, with its file and line.
    """
    checker = _Checker(spark, loaded, config_only=config_only)
    checker.check_all()
    if checker.findings.problems:
        raise ConfigError(checker.findings.in_order(), next_step=next_step)
    return {ref: frame.schema for ref, frame in checker.frames.items()}


class _Checker:
    """Checks one config.

    Attributes:
        frames: the tables whose columns are known, without rows.
    """

    def __init__(self, spark: SparkSession, loaded: Loaded, *, config_only: bool) -> None:
        self._spark = spark
        self._config = loaded.pipeline
        self._config_only = config_only
        self.findings = Findings(spark, loaded.origins)
        self.frames: dict[TableRef, DataFrame] = {}

    def check_all(self) -> None:
        for name in self._config.bronze:
            self._bronze(name)
        for name in self._config.silver_in_order():
            ref, table = TableRef("silver", name), self._config.silver[name]
            silver = SilverCheck(self._config, self.findings, ref, self._table)
            missing = self._missing_tables(ref, table.dimensions)
            self._build(ref, silver.schema(self.frames.get(table.from_), missing))
        for name, gold in self._config.gold.items():
            ref = TableRef("gold", name)
            of_gold = GoldCheck(self._config, self.findings, ref)
            self._build(ref, of_gold.schema(self.frames.get(gold.from_)))

    def _bronze(self, name: str) -> None:
        source, ref = self._config.bronze[name].source, TableRef("bronze", name)
        here = f"{ref}.source"
        if isinstance(source, KafkaSource):
            with self.findings.at(here, source.subscription):
                places = TablePaths(self._config, ref)
                kinds = decoders.kinds_without_cluster(self._spark, source, places)
                self._build(ref, None if kinds is None else of_topics(source, kinds))
            return
        registry = Registry(TablePaths(self._config, ref).schemas)
        of_files = BronzeColumns(self._spark, source, registry, has_versions=source.keeps_versions)
        with self.findings.at(f"{here}.schema_hints", source.schema_hints or "") as hints:
            of_files.hinted(StructType())
        loader = AutoLoader.to_table(self._config, name)
        if not self._config_only:
            key = f"{here}.path" if source.path else here
            with self.findings.at(key, ", ".join(loader.roots)) as folder:
                loader.check_folders(self._spark)
        with self.findings.at(f"{here}.schema", source.schema_ or ""):
            declared = None if hints.failed else of_files.declared_or_recorded()
            schema = None if declared is None else of_files.table_of(declared)
            is_readable = not (self._config_only or hints.failed or folder.failed)
            if schema is None and is_readable:
                schema = loader.columns_to_infer(self._spark)
            if schema is not None:
                layouts.refuse_names(f"bronze.{name}", schema)
            self._build(ref, schema)

    def _missing_tables(self, ref: TableRef, dimensions: Collection[TableRef]) -> set[TableRef]:
        """The dimensions that are neither made here nor exist; each is a problem of its lookup."""
        missing = {name for name in dimensions if name not in self._made and not self._exists(name)}
        if self._config_only:
            return missing
        table = self._config.silver[ref.name]
        places = {f"lookups.{n}.table": used.table for n, used in enumerate(table.lookups)}
        places |= {
            f"expect.{name}.references.table": rule.references.table
            for name, rule in table.expect.items()
            if rule.references
        }
        made = [name for name in map(str, self._made) if name != str(ref)]
        known = sorted(name for name in {*made, *self._in_lake()} if name.startswith("silver."))
        for key, name in places.items():
            if name in missing:
                self.findings.add(
                    f"{ref}.{key}",
                    str(name),
                    "no table of this pipeline, and none in the lake at "
                    f"{TablePaths(self._config, name).data}",
                    ", ".join(known),
                    nearest(str(name), known),
                )
        return missing

    def _exists(self, ref: TableRef) -> bool:
        return tables.snapshot(TablePaths(self._config, ref).data) is not None

    @property
    def _made(self) -> Collection[TableRef]:
        return list(paths.sources(self._config))

    def _in_lake(self) -> list[str]:
        """The silver tables that exist."""
        silver = TablePaths(self._config, TableRef("silver", "any")).data.parent
        return [f"silver.{folder.name}" for folder in children(silver) if tables.snapshot(folder)]

    def _table(self, ref: TableRef) -> DataFrame | None:
        """A table as this pipeline would build it, else an existing one, else None."""
        if ref in self.frames:
            return self.frames[ref]
        if not self._exists(ref):
            return None
        return self._spark.read.format("delta").load(str(TablePaths(self._config, ref).data))

    def _build(self, ref: TableRef, schema: StructType | None) -> None:
        if schema is None:
            return
        self.frames[ref] = self._spark.createDataFrame([], schema)
        layout, here = self._config.layout_of(ref), f"{ref}.layout"
        rows, unfit = self.frames[ref], set()
        for key in ("partition_by", "cluster_by", "comments"):
            names = getattr(layout, key) or ()
            if not self.findings.all_there(f"{here}.{key}", names, rows, owner="the table"):
                unfit.add(key)
        for key, why in layouts.problems(schema, layout):
            value = ", ".join(getattr(layout, key) or ())
            if key not in unfit and not reads_unknown(value, rows):
                self.findings.add(f"{here}.{key}", value, why)
        for name, sql in layout.checks.items():
            self.findings.condition(f"{here}.checks.{name}", sql, rows)
