"""The decoders of a table's Avro keys and values, with the schemas that this run knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql.types import DataType

from medallion_jobs.config import KafkaSource
from medallion_jobs.kafkaloader import schemas
from medallion_jobs.kafkaloader.avro import Decoder
from medallion_jobs.kafkaloader.columns import DATA, KEY, VALUE
from medallion_jobs.kafkaloader.schemas import Registry
from medallion_jobs.lake.paths import TablePaths
from medallion_jobs.lake.tables import snapshot

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass
class Decoders:
    """The decoders of a source, by `KEY` and `VALUE`; none if it has no Avro.

    Attributes:
        registry: None for schemas from files only.
    """

    by_part: dict[str, Decoder]
    registry: Registry | None = None

    @classmethod
    def of(cls, spark: SparkSession, source: KafkaSource, paths: TablePaths) -> Decoders:
        """The decoders as a start knows them: by files, and by what the registry gave before.

        Raises:
            MedallionError: a schema cannot be read, or the registry does not answer.
        """
        registry = None
        if source.schema_registry:
            registry = Registry(source.schema_registry, paths.schemas / "registry")
        made = cls({}, registry)
        given = {KEY: (source.key, source.key_schema), VALUE: (source.value, source.value_schema)}
        in_table = _kinds_in(spark, paths)
        for part, (form, file) in given.items():
            if form != "avro":
                continue
            key = f"bronze.{paths.ref.name}.source.{part}_schema"
            decoder = Decoder(spark, schemas.of_file(key, file) if file else None)
            if decoder.reader:
                decoder.declare(key)
            else:
                decoder.kind = in_table.get(part)
            if registry:
                decoder.add(registry.known(), widens=False)
                if decoder.kind is None:
                    made._ask_for_newest(decoder, source, part)
            made.by_part[part] = decoder
        return made

    @property
    def kinds(self) -> Mapping[str, DataType]:
        """The types of the decoded columns, as far as they are known."""
        return {part: d.kind for part, d in self.by_part.items() if d.kind is not None}

    def on(self, spark: SparkSession) -> Decoders:
        """The same, bound to the session that Spark passes to a query's batches."""
        for decoder in self.by_part.values():
            decoder.spark = spark
        return self

    def add(self, ids: Mapping[str, Iterable[int]], *, widens: bool) -> None:
        """Fetches schemas and takes them up.

        Args:
            ids: by `KEY` and `VALUE`, ids of schemas.
        """
        assert self.registry is not None
        for part, numbers in ids.items():
            self.by_part[part].add(self.registry.fetched(sorted(numbers)), widens=widens)

    def forget_missing(self) -> None:
        """Drops the ids that the registry did not know: it may know them now."""
        for decoder in self.by_part.values():
            if decoder.written is not None:
                known = decoder.written.items()
                decoder.written = {n: found for n, found in known if found.is_kept}

    def _ask_for_newest(self, decoder: Decoder, source: KafkaSource, part: str) -> None:
        """Takes up the newest schema of each topic, so that a new table has the column."""
        assert self.registry is not None
        for topic in source.topics or ():
            if (newest := self.registry.newest(f"{topic}-{part}")) is not None:
                decoder.add(self.registry.fetched([newest]), widens=True)


def kinds_without_cluster(
    spark: SparkSession, source: KafkaSource, paths: TablePaths
) -> Mapping[str, DataType] | None:
    """The types of the decoded columns, from files and the table; None if these lack one.

    Raises:
        UsageError: a schema cannot be read.
    """
    given = {KEY: (source.key, source.key_schema), VALUE: (source.value, source.value_schema)}
    kinds = _kinds_in(spark, paths)
    for part, (form, file) in given.items():
        if form == "avro" and file:
            key = f"bronze.{paths.ref.name}.source.{part}_schema"
            decoder = Decoder(spark, schemas.of_file(key, file))
            decoder.declare(key)
            assert decoder.kind is not None  # it was declared
            kinds[part] = decoder.kind
        elif form == "avro" and part not in kinds:
            return None
    return kinds


def _kinds_in(spark: SparkSession, paths: TablePaths) -> dict[str, DataType]:
    """The types of the decoded columns that the table has."""
    if snapshot(paths.data) is None:
        return {}
    has = {f.name: f.dataType for f in spark.read.format("delta").load(str(paths.data)).schema}
    return {part: has[name] for part, name in DATA.items() if name in has}
