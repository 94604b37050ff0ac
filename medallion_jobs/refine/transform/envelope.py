"""Takes changes out of the messages of change data capture: Debezium's, or plain rows with an op.

A message becomes a row of the declared columns, with columns beside them that say what the change
is, where it comes from, and which values the database did not send. A message that is no change of
a row is filtered out: a tombstone (a null), the marks of transactions, heartbeats, changes of the
schema. A message that cannot be read is quarantined as it came.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import md5
from typing import TYPE_CHECKING
from uuid import UUID

from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from medallion_jobs.config import Envelope
from medallion_jobs.lake.columns import (
    COMMIT_LSN,
    IS_SNAPSHOT,
    LSN,
    OF_MESSAGE,
    OLD_KEY,
    OP,
    RESCUED,
    RESERVED,
    SOURCE_BLOCK,
    SOURCE_TIME,
    TRANSACTION_ID,
    TRANSACTION_ORDER,
    UNAVAILABLE,
)
from medallion_jobs.lake.hidden_columns import UNDECIDED, UNREADABLE, is_hidden
from medallion_jobs.lake.tables.json_text import JSON_TEXT
from medallion_jobs.lake.tables.sql import col
from medallion_jobs.lake.values import json_parts, strict
from medallion_jobs.lake.values.json_parts import decoded, elements, let, member, members
from medallion_jobs.refine.transform import casts
from medallion_jobs.refine.transform.debezium_values import Meaning, ValueReader

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# The parts of Debezium's message that are used, besides `op`.
_PARTS = ("before", "after", "source", "transaction")
_OPS = ("c", "u", "d", "r", "t")
_PLAIN_OPS = {
    **dict.fromkeys(("i", "c", "insert", "create"), "c"),
    **dict.fromkeys(("u", "update", "upsert"), "u"),
    **dict.fromkeys(("d", "delete"), "d"),
    **dict.fromkeys(("t", "truncate"), "t"),
    **dict.fromkeys(("r", "read", "snapshot"), "r"),
}
# Hidden columns: the parts of a message; the raw JSON of the row in it, and its members; what the
# message's schema says, by column.
_MESSAGE, _ROW, _FIELDS, _MEANINGS = "message", "row of message", "fields of row", "meanings"
_FIELD = "field: string, type: string, name: string, parameters: map<string, string>"
_SCHEMA = (
    f"fields array<struct<field: string, fields: array<struct<{_FIELD}, "
    "items: struct<type: string, name: string, parameters: map<string, string>>>>>>"
)
_MICROS_A_MILLI = 1_000
# The type of headers in bronze, and Debezium's header of a row whose key was changed.
_HEADERS = "array<struct<key:string,value:binary>>"
_OLD_KEY_HEADER = "__debezium.oldkey"


@dataclass(frozen=True)
class Opening:
    """How messages are opened.

    Attributes:
        columns: the columns of the changed table that are read.
        keys: those of them that identify a row, as far as that is known.
    """

    envelope: Envelope
    columns: StructType
    keys: Sequence[str] = ()

    @property
    def is_debezium(self) -> bool:
        return self.envelope.format == "debezium"

    def opened(self, rows: DataFrame) -> DataFrame:
        """The changes in the messages."""
        rows = rows.where(self.is_change(rows)).withColumn(_MESSAGE, self._message(rows))
        rows = rows.withColumns({_ROW: self._row(rows), _MEANINGS: _meanings(col(_MESSAGE))})
        # Each a column of its own: as an expression, each use below would compute it again.
        rows = rows.withColumns({_FIELDS: members(col(_ROW)), **self._old_key(rows)})
        rows = rows.withColumn(UNREADABLE, self._fault)
        rows = rows.withColumns(
            {f"read {field.name}": self._reading(field) for field in self.columns}
        )
        return rows.select(
            *self._of_source(rows),
            *(col(f"read {name}")["value"].alias(name) for name in self.columns.names),
            *(value.alias(name) for name, value in self._about(rows).items()),
            self._rescued(rows).alias(RESCUED),
            col(UNREADABLE),
        )

    def is_change(self, rows: DataFrame) -> Column:
        """Whether a message is a change of a row, or cannot be read; never null."""
        # Cheaper than to open the message, and computed twice: once to count.
        return let(self._text(rows), lambda text: _is_change(text, self._op_name))

    def marks(self, rows: DataFrame) -> DataFrame:
        """The marks of transactions in the messages.

        Returns:
            `transaction`, `table` and `count`: for each end of a transaction, how many changes it
            has of each of the envelope's tables; two nulls beside the transaction for other marks.
        """
        counts = "array<struct<data_collection: string, event_count: bigint>>"
        text = self._text(rows)
        inner = F.coalesce(F.get_json_object(text, "$.payload"), text)
        marks = rows.where(~self.is_change(rows)).select(inner.alias("mark"))
        part = {
            name: F.get_json_object(col("mark"), f"$.{name}")
            for name in ("status", "id", "data_collections")
        }
        of_tables = F.from_json(part["data_collections"], counts, json_parts.STRICT_JSON)
        listed = F.filter(
            of_tables, lambda table: table["data_collection"].isin(*self.envelope.tables or ())
        )
        is_end = part["status"] == "END"
        found = marks.where(part["status"].isin("BEGIN", "END") & part["id"].isNotNull()).select(
            transaction_key(part["id"]).alias("transaction"),
            F.explode_outer(F.when(is_end, listed)).alias("of table"),
        )
        return found.select(
            col("transaction"),
            col("of table")["data_collection"].alias("table"),
            col("of table")["event_count"].alias("count"),
        )

    def keys_of_row(self, rows: DataFrame) -> Column:
        """The names of the columns in a message, as array<string>; null if it gives no row."""

        def keys(text: Column) -> Column:
            row = text
            if self.is_debezium:
                row = F.coalesce(
                    F.get_json_object(text, "$.after"), F.get_json_object(text, "$.payload.after")
                )
            return F.json_object_keys(row)

        return let(self._text(rows), keys)

    def meanings(self, rows: DataFrame) -> Column:
        """What the schema of a message says about its columns: see `_meanings`."""
        return let(self._message(rows), _meanings)

    @property
    def _op_name(self) -> str:
        """The key of a message that says what the change is."""
        return "op" if self.is_debezium else self.envelope.op

    def _message(self, rows: DataFrame) -> Column:
        """The parts of a message: `op`, others as raw JSON, and its `text`."""
        return let(self._text(rows), self._of_text)

    def _text(self, rows: DataFrame) -> Column:
        """The JSON text of a message."""
        if self.envelope.column:
            field = casts.named(rows, self.envelope.column)
            if isinstance(field.dataType, StringType):
                return col(field.name)
            if isinstance(field.dataType, StructType):
                # A message in Avro; bytes become base64, as in Debezium's JSON.
                return F.to_json(col(field.name), {**JSON_TEXT, "ignoreNullFields": "false"})
            raise casts.wrong(
                f"envelope: {field.name} is {field.dataType.simpleString()}, neither JSON text nor "
                "a struct"
            )
        own = [name for name in rows.columns if name not in RESERVED and not is_hidden(name)]
        if self.is_debezium:
            # A column with the JSON text of a part becomes that part.
            pairs = (
                F.concat(F.lit(f"{json.dumps(name)}:"), F.coalesce(_raw(rows, name), F.lit("null")))
                for name in own
            )
            return F.concat(F.lit("{"), F.array_join(F.array(*pairs), ","), F.lit("}"))
        # A null of a declared column is a value: a row of a file has all of its columns.
        known = {*self.columns.names, self.envelope.op}
        pairs = (
            F.when(
                col(name).isNotNull() | F.lit(name in known),
                F.concat(F.lit(f"{json.dumps(name)}:"), F.coalesce(_as_json(name), F.lit("null"))),
            )
            for name in own
        )
        return F.concat(F.lit("{"), F.array_join(F.array(*pairs), ","), F.lit("}"))

    def _of_text(self, text: Column) -> Column:
        nothing = F.lit(None).cast("string")

        def of(inner: Column, schema: Column) -> Column:
            op = decoded(member(inner, self._op_name))
            debezium = {name: member(inner, name) for name in _PARTS}
            plain = {"before": nothing, "after": text, "source": nothing, "transaction": nothing}
            parts = debezium if self.is_debezium else plain
            return F.struct(
                text.alias("text"),
                F.lit(True).alias("is_object"),
                self._letter(op).alias("op"),
                *(parts[name].alias(name) for name in _PARTS),
                schema.alias("schema"),
            )

        def opened(outer: Column) -> Column:
            wraps = F.array_contains(outer["keys"], "payload") & ~F.array_contains(
                outer["keys"], "op"
            )
            payload = member(outer, "payload")
            inside = let(members(payload), lambda inner: of(inner, member(outer, "schema")))
            return F.when(wraps, inside).otherwise(of(outer, nothing))

        unread = F.struct(
            text.alias("text"),
            F.lit(False).alias("is_object"),
            *(nothing.alias(name) for name in ("op", *_PARTS, "schema")),
        )
        is_object = json_parts.is_one(text) & F.startswith(F.ltrim(text), F.lit("{"))
        return F.when(is_object, let(members(text), opened)).otherwise(unread)

    def _letter(self, op: Column) -> Column:
        """Debezium's letter for an op; null for an unknown one."""
        if self.is_debezium:
            return F.when(op.isin(*_OPS), op)
        known = {**_PLAIN_OPS, **{key.lower(): letter for key, letter in self.envelope.ops.items()}}
        pairs = [F.lit(text) for pair in known.items() for text in pair]
        return F.element_at(F.create_map(*pairs), F.lower(F.trim(op)))

    def _row(self, rows: DataFrame) -> Column:
        """The raw JSON of the row in a message: after the change, or before it was deleted."""
        message = col(_MESSAGE)
        if not self.is_debezium:
            return message["after"]
        key = F.lit(None).cast("string")
        if self.envelope.key:
            key = _payload(col(casts.named(rows, self.envelope.key).name))
        before = F.when(message["before"] != "null", message["before"])
        return F.when(message["op"] == "d", F.coalesce(before, key)).otherwise(
            F.when(message["after"] != "null", message["after"])
        )

    def _reading(self, field: StructField) -> Column:
        said = F.element_at(col(_MEANINGS), F.lit(field.name))
        meaning = Meaning(said["kind"], said["name"], said["scale"])
        raw = member(col(_FIELDS), field.name)
        raw = F.when(~self._is_placeholder(raw), raw)
        if not self.is_debezium:
            return strict.reading_of_valid(raw, field.dataType, {})
        return ValueReader.of(field.name, field.dataType, meaning, self.envelope).reading(raw)

    def _is_placeholder(self, raw: Column) -> Column:
        """Whether a raw value stands for one that the database did not send; never null."""
        if not self.is_debezium:
            return F.lit(False)
        value = self.envelope.unavailable_value.encode()
        text, encoded = json.dumps(value.decode()), json.dumps(b64encode(value).decode())
        numbers = ",".join(str(byte) for byte in value)
        # In an array of UUIDs: as Java makes one of a name.
        made = json.dumps(str(UUID(bytes=md5(value, usedforsecurity=False).digest(), version=3)))
        forms = [text, encoded, f"[{text}]", f"[{encoded}]", f"[{numbers}]", f"[{made}]"]
        return F.coalesce(F.regexp_replace(raw, r"\s", "").isin(*forms), F.lit(False))

    def _of_source(self, rows: DataFrame) -> list[Column]:
        """The columns of the source that stay: technical ones, and where the message lay."""
        envelope = self.envelope
        kept = [name for name in rows.columns if name in RESERVED and name != RESCUED]
        own = {name.lower(): name for name in rows.columns}
        placed = {name: own.get(name[1:]) for name in OF_MESSAGE} if envelope.column else {}
        return [
            *(col(name) for name in kept),
            *(col(name) for name in rows.columns if name == UNDECIDED),
            *(col(old).alias(name) for name, old in placed.items() if old),
        ]

    def _about(self, rows: DataFrame) -> dict[str, Column]:
        """The columns that say what a change is and where it comes from."""
        message = col(_MESSAGE)
        if not self.is_debezium:
            return {OP: message["op"], UNAVAILABLE: self._unavailable()}
        source, transaction = members(message["source"]), members(message["transaction"])
        sequence = elements(decoded(member(source, "sequence")))
        lsn = decoded(member(source, "lsn")).try_cast("bigint")
        snapshot = decoded(member(source, "snapshot"))
        is_snapshot = F.coalesce(snapshot != "false", F.lit(False)) | (message["op"] == "r")
        micros = decoded(member(source, "ts_us")).try_cast("bigint")
        millis = decoded(member(source, "ts_ms")).try_cast("bigint") * _MICROS_A_MILLI
        committed = decoded(F.get(sequence, F.lit(0))).try_cast("bigint")
        own = decoded(F.get(sequence, F.lit(1))).try_cast("bigint")
        return {
            OP: message["op"],
            IS_SNAPSHOT: F.coalesce(is_snapshot, F.lit(False)),
            **({OLD_KEY: col(OLD_KEY)} if OLD_KEY in rows.columns else {}),
            UNAVAILABLE: self._unavailable(),
            SOURCE_TIME: F.timestamp_micros(F.coalesce(micros, millis)),
            SOURCE_BLOCK: message["source"],
            # A row of a snapshot is older than every change that is streamed. Of the first
            # transaction that is streamed, no commit before it is known.
            COMMIT_LSN: F.when(is_snapshot, F.lit(0))
            .otherwise(F.coalesce(committed, own, lsn, F.lit(0)))
            .cast("bigint"),
            LSN: F.coalesce(own, lsn),
            TRANSACTION_ID: decoded(member(transaction, "id")),
            TRANSACTION_ORDER: decoded(member(transaction, "total_order")).try_cast("bigint"),
        }

    def _old_key(self, rows: DataFrame) -> dict[str, Column]:
        """The key that a row had before an update changed it, by a header of Kafka's message."""
        keys = [field for field in self.columns if field.name in self.keys]
        kind = rows.schema["headers"].dataType if "headers" in rows.columns else None
        if not keys or kind is None or kind.simpleString() != _HEADERS:
            return {}
        found = F.filter(col("headers"), lambda header: header["key"] == _OLD_KEY_HEADER)
        text = _payload(F.decode(F.get(found, F.lit(0))["value"], "UTF-8"))
        nothing = F.lit(None).cast("string")

        def read(parts: Column) -> Column:
            unsaid = Meaning(nothing, nothing, nothing.cast("int"))
            values = (
                ValueReader.of(field.name, field.dataType, unsaid, self.envelope)
                .reading(member(parts, field.name))["value"]
                .alias(field.name)
                for field in keys
            )
            return F.when(parts.isNotNull(), F.struct(*values))

        return {OLD_KEY: let(members(text), read)}

    def _unavailable(self) -> Column:
        """The columns whose values a change does not give; null if it gives all."""
        fields = col(_FIELDS)
        names = [
            F.when(
                ~F.array_contains(fields["keys"], name)
                | self._is_placeholder(member(fields, name)),
                F.lit(name),
            )
            for name in self.columns.names
        ]
        lacking = F.array_compact(F.array(*names))
        is_upsert = col(_MESSAGE)["op"].isin("c", "u", "r")
        return F.when(is_upsert & (F.size(lacking) > 0), lacking)

    def _rescued(self, rows: DataFrame) -> Column:
        """What the columns do not have of a message, as a JSON object of texts."""
        fields = col(_FIELDS)
        # A row that is new has no value that it could keep: its key was changed by an update.
        is_new = col(_MESSAGE)["op"].isin("c", "r")
        if OLD_KEY in rows.columns:
            is_new = is_new & col(OLD_KEY).isNull()
        misfits = [
            F.when(
                ~col(f"read {name}")["fits"]
                | (is_new & self._is_placeholder(member(fields, name))),
                F.struct(F.lit(name).alias("key"), decoded(member(fields, name)).alias("value")),
            )
            for name in self.columns.names
        ]
        known = [*self.columns.names, *([] if self.is_debezium else [self.envelope.op])]
        pairs = F.arrays_zip(fields["keys"].alias("key"), fields["texts"].alias("value"))
        others = F.transform(
            F.filter(pairs, lambda pair: ~pair["key"].isin(*known)),
            lambda pair: F.struct(pair["key"].alias("key"), decoded(pair["value"]).alias("value")),
        )
        empty = F.array().cast("array<struct<key: string, value: string>>")
        found = F.concat(
            F.coalesce(F.array_compact(F.array(*misfits)), empty), F.coalesce(others, empty)
        )
        message = F.array(
            F.struct(F.lit("message").alias("key"), col(_MESSAGE)["text"].alias("value"))
        )
        all_of = F.when(col(UNREADABLE).isNotNull(), message).otherwise(found)
        if RESCUED in rows.columns:
            before = F.struct(F.lit(RESCUED).alias("key"), col(RESCUED).alias("value"))
            all_of = F.when(col(RESCUED).isNotNull(), F.concat(all_of, F.array(before))).otherwise(
                all_of
            )
        return F.when(F.size(all_of) > 0, F.to_json(F.map_from_entries(all_of)))

    @property
    def _fault(self) -> Column:
        """Why a message cannot be read as a change; null if it can."""
        message, op = col(_MESSAGE), col(_MESSAGE)["op"]
        return (
            F.when(~message["is_object"], "the message is no JSON object")
            .when(op.isNull(), f"the message has no `{self._op_name}` that says what the change is")
            .when(
                (op == "d") & col(_FIELDS).isNull(),
                "the message is a delete without `before`, and no key is known",
            )
            .when((op != "t") & col(_FIELDS).isNull(), "the message has no `after`")
        )


def _is_change(text: Column, op_name: str) -> Column:
    """Whether a text is a message about a change of a row, or cannot be read; never null.

    All others are a tombstone, the mark of a transaction, a heartbeat, a change of the schema or a
    message that a program wrote into the log of the database.
    """
    path = f"$['{op_name}']"
    outer_op = F.get_json_object(text, path)
    inner = F.when(outer_op.isNull(), F.get_json_object(text, "$.payload"))
    inner = F.coalesce(inner, text)

    def is_other(inner: Column) -> Column:
        op = F.get_json_object(inner, path)
        marks = F.get_json_object(inner, "$.status").isin("BEGIN", "END")
        only_times = inner.rlike(r'^\s*\{(\s*"ts_[mun]s"\s*:\s*[0-9]+\s*,?)+\}\s*$')
        ddl = inner.contains('"tableChanges"') & inner.contains('"ddl"')
        return F.when(op.isNull(), marks | only_times | ddl).otherwise(op == "m")

    # The payload of a tombstone with a schema is null.
    is_null = (F.trim(text) == "null") | text.rlike(r'"payload"\s*:\s*null\s*\}\s*$')
    other = F.coalesce(is_null, F.lit(False)) | F.coalesce(let(inner, is_other), F.lit(False))
    return text.isNotNull() & ~other


def transaction_key(transaction: Column) -> Column:
    """The id of a transaction; of PostgreSQL without the position that Debezium adds to it."""
    return F.regexp_replace(transaction, "^([0-9]+):[0-9]+$", "$1")


def _payload(text: Column) -> Column:
    """The JSON of a message's key, without the schema around it; null if there is none."""

    def inner(outer: Column) -> Column:
        wraps = F.array_contains(outer["keys"], "payload") & F.array_contains(
            outer["keys"], "schema"
        )
        return F.when(wraps, member(outer, "payload")).otherwise(text)

    is_object = json_parts.is_one(text) & F.startswith(F.ltrim(text), F.lit("{"))
    return F.when(is_object, let(members(text), inner))


def _raw(rows: DataFrame, name: str) -> Column:
    """A column as JSON: a text that is JSON as it is, another text as a string."""
    if isinstance(rows.schema[name].dataType, StringType):
        return F.when(json_parts.is_one(col(name)), col(name)).otherwise(_as_json(name))
    return _as_json(name)


def _as_json(name: str) -> Column:
    """A column as JSON, with the nulls in it; null if it is null."""
    text = F.to_json(F.array(col(name)), {**JSON_TEXT, "ignoreNullFields": "false"})
    return F.when(col(name).isNotNull(), F.substring(text, F.lit(2), F.length(text) - 2))


def _meanings(message: Column) -> Column:
    """What the schema of a message says about the columns, as a map by name; null without one."""
    read = F.from_json(message["schema"], _SCHEMA, json_parts.STRICT_JSON)
    after = F.get(
        F.filter(read["fields"], lambda part: part["field"].isin("after", "before")), F.lit(0)
    )["fields"]

    def entry(field: Column) -> Column:
        item = F.when(field["type"] == "array", field["items"])
        parameters = F.coalesce(item["parameters"], field["parameters"])
        said = F.struct(
            F.coalesce(item["type"], field["type"]).alias("kind"),
            F.coalesce(item["name"], field["name"]).alias("name"),
            F.try_element_at(parameters, F.lit("scale")).try_cast("int").alias("scale"),
            (field["type"] == "array").alias("is_array"),
        )
        return F.struct(field["field"].alias("key"), said.alias("value"))

    return F.map_from_entries(F.array_distinct(F.transform(after, entry)))
