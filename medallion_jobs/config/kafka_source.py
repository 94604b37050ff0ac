"""The keys of a bronze table's `source` that reads the topics of a Kafka cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal, cast

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from medallion_jobs.config.fields import HIDES, Count, SparkValue, as_list, moment, refused
from medallion_jobs.config.frozen import Frozen
from medallion_jobs.config.secrecy import Hidden

Form = Literal["json", "avro", "text", "binary"]
EARLIEST: Final = "earliest"
LATEST: Final = "latest"
# The offsets that stand for these words in Spark and in Kafka.
WORDS = {EARLIEST: -2, LATEST: -1}
Starting = Literal["earliest", "latest"] | datetime | Mapping[str, Mapping[int, int]]

_TOPIC = r"^[A-Za-z0-9._-]{1,249}$"
_STARTING = (
    "earliest, latest, a time such as `2026-01-31T12:00Z`, or a mapping of topics to partitions "
    "to offsets"
)


def _as_servers(value: object) -> object:
    """A list of servers from one text, in which commas part them."""
    if not isinstance(value, str):
        return value
    kind = Hidden if isinstance(value, Hidden) else str
    return [kind(server.strip()) for server in value.split(",") if server.strip()]


def _starting(value: object) -> Starting:
    if value in (EARLIEST, LATEST):
        return cast("Starting", value)
    if isinstance(value, Mapping):
        return {str(topic): _partitions(of_topic) for topic, of_topic in value.items()}
    return cast("datetime", moment(value))


def _partitions(value: object) -> dict[int, int]:
    if not isinstance(value, Mapping) or not value:
        raise ValueError("not a mapping of partitions")
    return {_whole(partition): _offset(offset) for partition, offset in value.items()}


def _offset(value: object) -> int:
    return WORDS[value] if isinstance(value, str) and value in WORDS else _whole(value)


def _whole(value: object) -> int:
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch("[0-9]{1,18}", text):
        raise ValueError("not a whole number")
    return int(text)


def _starting_as_json(value: Starting) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise refused(f"not a pattern: {error.msg}") from None
    return text


def _without_login(value: object) -> object:
    if isinstance(value, str) and not isinstance(value, Hidden) and "@" in value:
        raise refused("a URL with a login must come from ${env:NAME} or ${file:PATH}")
    return value


Server = Annotated[
    str,
    Field(
        pattern=r"^(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$",
        title="a server as HOST:PORT",
    ),
    HIDES,
]
Servers = Annotated[
    tuple[Server, ...],
    Field(min_length=1, title="servers as HOST:PORT, a list or one text with commas"),
    BeforeValidator(_as_servers, json_schema_input_type=str | tuple[Server, ...]),
]
Topic = Annotated[str, Field(pattern=_TOPIC, title="a topic's name"), HIDES]
Topics = Annotated[
    tuple[Topic, ...],
    Field(min_length=1, title="a topic, or a list of topics"),
    BeforeValidator(as_list, json_schema_input_type=Topic | tuple[Topic, ...]),
]
TopicPattern = Annotated[
    str,
    Field(pattern=r"\S", title="a regular expression that matches the whole name of a topic"),
    BeforeValidator(lambda value: _pattern(value) if isinstance(value, str) else value),
    HIDES,
]
SchemaFile = Annotated[str, Field(pattern=r"\S", title="a file with an Avro schema (.avsc)"), HIDES]
RegistryUrl = Annotated[
    str,
    Field(pattern=r"^https?://\S+$", title="a URL such as `http://HOST:8081`"),
    BeforeValidator(_without_login),
    HIDES,
]
Start = Annotated[
    Starting,
    PlainValidator(_starting),
    PlainSerializer(_starting_as_json, when_used="json"),
    WithJsonSchema(
        {
            "title": _STARTING,
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "additionalProperties": {
                        "type": "object",
                        "additionalProperties": {"type": ["integer", "string"]},
                    },
                },
            ],
        }
    ),
]


class KafkaSource(Frozen):
    """The messages of Kafka topics that a bronze table reads."""

    format: Literal["kafka"] = Field(description="Messages of Kafka topics.")
    servers: Servers = Field(description="Servers of the cluster to ask first.")
    topics: Topics | None = Field(default=None, description="The topics to read.")
    topic_pattern: TopicPattern | None = Field(
        default=None,
        description="In place of `topics`: all topics with such names, also new ones.",
    )
    value: Form = Field(
        default="json",
        description="What the value of a message must be; others go to quarantine.",
    )
    key: Form = Field(default="text", description="The same for the key of a message.")
    value_schema: SchemaFile | None = Field(
        default=None,
        description="For avro: the schema that values are read as; without `schema_registry`, "
        "also the one that they are written with.",
    )
    key_schema: SchemaFile | None = Field(default=None, description="The same for keys.")
    schema_registry: RegistryUrl | None = Field(
        default=None,
        description="For avro: the registry (Confluent's) whose schema ids the messages start "
        "with; a login only by a placeholder.",
    )
    starting: Start = Field(
        default=EARLIEST,
        description="Where the first start begins; partitions that it does not name, and those "
        "that come later, are read from their beginning.",
    )
    on_data_loss: Literal["fail", "continue"] = Field(
        default="fail",
        description="What happens if the cluster no longer has messages that were not read: stop, "
        "or go on and report their number.",
    )
    max_messages_per_trigger: Count = Field(
        default=1_000_000, description="Maximum number of messages in one batch."
    )
    options: dict[str, SparkValue] = Field(
        default={},
        description="Settings of Kafka's client, with `kafka.` before their names, such as "
        "kafka.security.protocol; see docs/kafka.md.",
        title="a mapping of `kafka.…` settings",
    )
    add_columns: tuple[Literal["_batch_id"], ...] = Field(
        default=(), description="More columns: _batch_id.", title="a list of _batch_id"
    )
    load_time_column: Literal["_load_time", "_ingestion_time"] = Field(
        default="_load_time", description="Name of the column with the time a row was loaded."
    )

    @model_validator(mode="after")
    def _consistent(self) -> KafkaSource:
        if (self.topics is None) == (self.topic_pattern is None):
            raise refused("give either `topics` or `topic_pattern`")
        for part, form, schema in (
            ("value", self.value, self.value_schema),
            ("key", self.key, self.key_schema),
        ):
            if schema and form != "avro":
                raise refused(f"`{part}_schema` is for `{part}: avro`, and it is {form}")
            if form == "avro" and not (schema or self.schema_registry):
                raise refused(f"`{part}: avro` needs `{part}_schema` or `schema_registry`")
        if self.schema_registry and "avro" not in (self.value, self.key):
            raise refused("`schema_registry` is for `value: avro` or `key: avro`")
        return self

    @property
    def subscription(self) -> str:
        """What is read, as text for the user: topics, or a pattern of them."""
        return ", ".join(self.topics) if self.topics else f"topics like {self.topic_pattern}"

    @property
    def has_avro(self) -> bool:
        return "avro" in (self.value, self.key)
