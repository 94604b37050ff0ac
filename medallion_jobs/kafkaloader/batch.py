"""Loads one batch of messages: rows into bronze, bad messages into quarantine, and counts both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pyspark.sql import Observation
from pyspark.sql import functions as F

from medallion_jobs.autoloader.loading.sinks import DeltaSink
from medallion_jobs.autoloader.readers.file_schemas import SPARK_FAILURES
from medallion_jobs.checkpoint import Checkpoint
from medallion_jobs.config import KafkaSource, TableRef
from medallion_jobs.engine.stream import Batch, Written
from medallion_jobs.errors import DataError
from medallion_jobs.kafkaloader import avro, messages
from medallion_jobs.kafkaloader.broker import Broker, Offsets
from medallion_jobs.kafkaloader.columns import DATA, PLACE, of_table
from medallion_jobs.kafkaloader.decoders import Decoders
from medallion_jobs.kafkaloader.loaded import Loaded
from medallion_jobs.kafkaloader.messages import FAULT, Messages
from medallion_jobs.kafkaloader.offsets import end_of, start_of
from medallion_jobs.kafkaloader.poison import Poison
from medallion_jobs.lake import tables
from medallion_jobs.lake.tables import Txn
from medallion_jobs.observe.set_aside import SetAside, is_most, shortened
from medallion_jobs.storage import Location, uri

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Under this name, the commit of a batch has its offsets.
OFFSETS = "kafka"
_INTERRUPTED = "its batch was interrupted, and the config has changed since: it is a row by now"
_UNTOUCHED = "the batch is not recorded as done"


@dataclass(frozen=True)
class Counts:
    """What a batch has read.

    Attributes:
        read: all messages.
        fresh: those that no earlier generation has loaded.
        bad: those of them that go to quarantine.
    """

    read: int
    fresh: int
    bad: int


@dataclass
class BatchLoad:
    """Loads the messages of one batch.

    Attributes:
        messages: the batch, as Spark reads it.
        fails_if_mostly_bad: whether the batch fails, with nothing written, if most of it is bad.
    """

    messages: DataFrame
    source: KafkaSource
    ref: TableRef
    checkpoint: Checkpoint
    sink: DeltaSink
    poison: Poison
    decoders: Decoders
    loaded: Loaded
    broker: Broker
    batch: Batch
    fails_if_mostly_bad: bool = False
    _remarks: list[str] = field(default_factory=list)

    def run(self) -> Written:
        """Loads the batch.

        Raises:
            DataError: messages were read that are neither in bronze nor in quarantine; or most of
                them are bad, and the config asks to fail then.
            MedallionError: a schema is needed, and its registry does not answer.
        """
        self.decoders.forget_missing()
        if self.batch.already_written:
            return self._finish()
        counts = self._write_rows()
        if counts is None:
            return self._finish()
        self._put_bad(counts)
        rows, bad = tables.rows_written(self.sink.path, self._txn), self.poison.count(self._txn)
        if counts.fresh != rows + bad:
            raise DataError(
                f"{self._txn.app_id}, batch {self.batch.number}: {counts.fresh:,} messages were "
                f"read, but {rows:,} are in bronze and {bad:,} in quarantine",
                code="messages_unbalanced",
                untouched=_UNTOUCHED,
                next_step="run again; it reads the same offsets and writes what is missing",
            )
        return self._written(counts.read, rows, bad, counts.read - counts.fresh)

    def _write_rows(self) -> Counts | None:
        """Writes the good messages; None if the table already has the batch."""
        while True:
            read, fresh = Observation(), Observation()
            parsed = self._parsed(self.messages.observe(read, F.count(F.lit(1)).alias("n")))
            rows = (
                # This also keeps Spark from decoding each message twice, once for the filter and
                # once for the columns.
                parsed.frame.observe(
                    fresh,
                    F.count(F.lit(1)).alias("n"),
                    F.count(F.col(FAULT)).alias("bad"),
                )
                .where(F.col(FAULT).isNull())
                .select(*parsed.columns)
            )
            try:
                if self.fails_if_mostly_bad:
                    self._refuse_mostly_bad(self._parsed(self.messages))
                is_new = tables.append(rows, self.sink.path, self._with_offsets)
            except SPARK_FAILURES as failure:
                if avro.STOP not in str(failure) or not self._learn():
                    raise
                continue
            if not is_new:
                return None
            return Counts(read.get["n"], fresh.get["n"], fresh.get["bad"])

    def _parsed(self, frame: DataFrame) -> Messages:
        if self.loaded.has_from(self._start):
            frame = self.loaded.without(frame, self._start)
        return messages.of(frame, self.source, self.decoders.by_part, self.batch.number)

    def _learn(self) -> bool:
        """Fetches the schemas that messages of this batch name, and adds their fields.

        Returns:
            Whether there were any that nobody knew.
        """
        table, learned = tables.snapshot(self.sink.path), set[int]()
        for part, decoder in self.decoders.by_part.items():
            found = self.messages.select(avro.id_of(F.col(part)).alias("id")).distinct().collect()
            new = {number for (number,) in found if number is not None}
            new -= (decoder.written or {}).keys()
            is_in_table = table is not None and DATA[part] in table.columns
            self.decoders.add(part, sorted(new), widens=not is_in_table)
            learned |= new
        self.sink.prepare(self.spark, of_table(self.source, self.decoders.kinds))
        if learned:
            self._remarks.append(f"new schemas: {', '.join(map(str, sorted(learned)))}")
        return bool(learned)

    def _put_bad(self, counts: Counts) -> None:
        if counts.bad:
            parsed = self._parsed(self.messages)
            bad = parsed.frame.where(F.col(FAULT).isNotNull())
            self.poison.put(bad, F.col(FAULT), self._txn, self.batch.generation)

    def _finish(self) -> Written:
        """Completes a batch that bronze has, and quarantine may lack."""
        commit = tables.commit_of(self.sink.path, self._txn.app_id, self.batch.number)
        files = [added.path for added in commit.added] if commit else []
        held = self._places_in(files)
        parsed = self._parsed(self.messages)
        missing = parsed.frame.join(held, list(PLACE), "left_anti") if files else parsed.frame
        reason = F.coalesce(F.col(FAULT), F.lit(_INTERRUPTED))
        self.poison.put(missing, reason, self._txn, self.batch.generation)
        rows, bad = tables.rows_written(self.sink.path, self._txn), self.poison.count(self._txn)
        written = Written.by_earlier_run(rows)
        return replace(written, rows_in=rows + bad, quarantined=bad)

    def _places_in(self, files: list[Location]) -> DataFrame:
        if not files:
            return self.spark.createDataFrame([], "topic string, partition int, offset bigint")
        return self.spark.read.parquet(*map(uri, files)).select(*PLACE)

    def _written(self, read: int, rows: int, bad: int, repeated: int) -> Written:
        if lost := self._lost(read):
            self._remarks.append(f"{lost:,} messages are missing: Kafka no longer had them")
        return Written(
            rows_out=rows,
            rows_in=read,
            quarantined=bad,
            repeated=repeated,
            remarks=tuple(self._remarks),
            set_aside=self._set_aside(rows + bad, bad),
        )

    def _lost(self, read: int) -> int:
        """Messages that were gone before this batch read them, with `on_data_loss: continue`."""
        if self.source.on_data_loss == "fail":
            return 0
        start, end = self._start, end_of(self.checkpoint, self.batch.number)
        earliest = self.broker.look().earliest
        gone = expected = 0
        for topic, of_topic in end.items():
            for partition, offset in of_topic.items():
                oldest = earliest.get(topic, {}).get(partition, offset)
                begin = start.get(topic, {}).get(partition, 0)
                gone += max(0, min(oldest, offset) - begin)
                expected += offset - begin
        return min(gone, max(0, expected - read))

    def _set_aside(self, rows: int, bad: int) -> SetAside | None:
        """Describes a batch of which most messages are bad; else None."""
        if not is_most(rows, bad, is_first=self.batch.number == 0):
            return None
        own = replace(self._txn, app_id=self.poison.app_id(self._txn.app_id))
        commit = tables.commit_of(self.poison.path, own.app_id, own.batch)
        files = [added.path for added in commit.added] if commit else []
        if not files:
            return None
        frame = self.spark.read.parquet(*map(uri, files))
        example = frame.select("reason", F.coalesce("value", "value_base64")).first()
        return self._described(rows, bad, *(example or ("", "")))

    def _described(self, rows: int, bad: int, reason: str, value: str | None) -> SetAside:
        return SetAside(
            rows=rows,
            aside=bad,
            how="quarantined",
            rule="the reader",
            example=shortened(f"{reason}: {value}"),
            cause=f"keys are not {self.source.key} or values are not {self.source.value}: check "
            "`key` and `value` of the source",
            unit="messages",
        )

    def _refuse_mostly_bad(self, parsed: Messages) -> None:
        counted = parsed.frame.agg(F.count(F.lit(1)), F.count(F.col(FAULT))).first()
        assert counted is not None  # an aggregate without groups has one row
        read, bad = counted
        if not is_most(read, bad, is_first=self.batch.number == 0):
            return
        faulty = parsed.frame.where(F.col(FAULT).isNotNull())
        text = F.make_valid_utf8(F.col("value").cast("string"))
        example = faulty.select(FAULT, text).first()
        found = self._described(read, bad, *(example or ("", "")))
        raise DataError(
            f"{self.ref}: {found.text}",
            code="most_rows_not_loaded",
            untouched="nothing of the batch is written; its messages are read again at the next "
            "run",
            next_step="change the config, then run again; or accept it with `on_all_aside: warn`",
        )

    @property
    def spark(self) -> SparkSession:
        return self.messages.sparkSession

    @property
    def _txn(self) -> Txn:
        return self.batch.txn

    @property
    def _start(self) -> Offsets:
        return start_of(self.checkpoint, self.batch.number)

    @property
    def _with_offsets(self) -> Txn:
        end: Mapping[str, object] = end_of(self.checkpoint, self.batch.number)
        return replace(self._txn, notes={OFFSETS: {"from": self._start, "to": end}})
