"""The decoders of a table's Avro keys and values, with the schemas that this run knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
        registries: for those whose messages name their schemas.
    """

    by_part: dict[str, Decoder]
    registries: Mapping[str, Registry]

    @classmethod
    def of(cls, spark: SparkSession, source: KafkaSource, paths: TablePaths) -> Decoders:
        """The decoders as a start knows them: by files, and by what the registry gave before.

        Raises:
            MedallionError: a schema cannot be read, or the registry does not answer.
        """
        made, registries, in_table = dict[str, Decoder](), {}, _kinds_in(spark, paths)
        for part, file in _of_avro(source):
            decoder = made[part] = _decoder(spark, paths, part, file)
            if decoder.kind is None:
                decoder.kind = in_table.get(part)
            if source.schema_registry:
                # Apart, since the schemas of keys say nothing about the columns of values.
                folder = paths.schemas / "registry" / part
                registry = registries[part] = Registry(source.schema_registry, folder)
                decoder.add(registry.known(), widens=False)
                if decoder.kind is None:
                    _ask_for_newest(decoder, registry, source, part)
        return cls(made, registries)

    @property
    def kinds(self) -> Mapping[str, DataType]:
        """The types of the decoded columns, as far as they are known."""
        return {part: d.kind for part, d in self.by_part.items() if d.kind is not None}

    def on(self, spark: SparkSession) -> Decoders:
        """The same, bound to the session that Spark passes to a query's batches."""
        for decoder in self.by_part.values():
            decoder.spark = spark
        return self

    def add(self, part: str, ids: Sequence[int], *, widens: bool) -> None:
        """Fetches schemas and takes them up.

        Args:
            widens: whether types may become wider, since the table does not have them yet.
        """
        if ids:
            self.by_part[part].add(self.registries[part].fetched(ids), widens=widens)

    def forget_missing(self) -> None:
        """Drops the ids that the registry did not know: it may know them now."""
        for decoder in self.by_part.values():
            if decoder.written is not None:
                known = decoder.written.items()
                decoder.written = {n: found for n, found in known if found.is_kept}


def _of_avro(source: KafkaSource) -> Iterator[tuple[str, str | None]]:
    """`KEY` and `VALUE`, if they are Avro, each with the file of its schema, if there is one."""
    for part, form, file in (
        (KEY, source.key, source.key_schema),
        (VALUE, source.value, source.value_schema),
    ):
        if form == "avro":
            yield part, file


def _decoder(spark: SparkSession, paths: TablePaths, part: str, file: str | None) -> Decoder:
    if file is None:
        return Decoder(spark)
    key = f"bronze.{paths.ref.name}.source.{part}_schema"
    made = Decoder(spark, schemas.of_file(key, file))
    made.declare(key)
    return made


def _ask_for_newest(decoder: Decoder, registry: Registry, source: KafkaSource, part: str) -> None:
    """Takes up the newest schema of each topic, so that a new table has the column."""
    for topic in source.topics or ():
        if (newest := registry.newest(f"{topic}-{part}")) is not None:
            decoder.add(registry.fetched([newest]), widens=True)


def kinds_without_cluster(
    spark: SparkSession, source: KafkaSource, paths: TablePaths
) -> Mapping[str, DataType] | None:
    """The types of the decoded columns, from files and the table; None if these lack one.

    Raises:
        UsageError: a schema cannot be read.
    """
    kinds = _kinds_in(spark, paths)
    for part, file in _of_avro(source):
        if kind := _decoder(spark, paths, part, file).kind:
            kinds[part] = kind
        elif part not in kinds:
            return None
    return kinds


def _kinds_in(spark: SparkSession, paths: TablePaths) -> dict[str, DataType]:
    """The types of the decoded columns that the table has."""
    if snapshot(paths.data) is None:
        return {}
    has = {f.name: f.dataType for f in spark.read.format("delta").load(str(paths.data)).schema}
    return {part: has[name] for part, name in DATA.items() if name in has}
