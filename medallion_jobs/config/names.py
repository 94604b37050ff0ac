"""Table names and folder paths in a config."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import unquote, urlsplit

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from medallion_jobs.storage import S3, Location, location

Layer = Literal["bronze", "silver", "gold"]
LAYERS: tuple[Layer, ...] = get_args(Layer)
IDENTIFIER_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"


@dataclass(frozen=True, order=True)
class TableRef:
    """A table, as `layer.name`."""

    layer: Layer
    name: str

    def __str__(self) -> str:
        return f"{self.layer}.{self.name}"

    @classmethod
    def parse(cls, text: str) -> TableRef:
        """Parses `layer.name`.

        Raises:
            ValueError: unknown layer, or not a table name.
        """
        layer_text, _, name = text.partition(".")
        for layer in LAYERS:
            if layer == layer_text and re.fullmatch(IDENTIFIER_PATTERN.rstrip("$"), name):
                return cls(layer, name)
        raise ValueError("not a table")


@dataclass(frozen=True)
class In:
    """Annotates a `TableRef` that is written as text and belongs to one of `layers`."""

    layers: tuple[Layer, ...]

    def _validate(self, value: object) -> TableRef:
        table = TableRef.parse(value) if isinstance(value, str) else value
        if not isinstance(table, TableRef) or table.layer not in self.layers:
            raise ValueError("not a table of these layers")
        return table

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._validate, serialization=core_schema.to_string_ser_schema()
        )

    def __get_pydantic_json_schema__(
        self, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        layers = "|".join(self.layers)
        return {
            "type": "string",
            "pattern": rf"^({layers})\.{IDENTIFIER_PATTERN[1:]}",
            "title": "a table: " + " or ".join(f"{layer}.NAME" for layer in self.layers),
        }


def local_folder(text: str) -> Path:
    """The absolute path of a folder written as a path or a `file://` URI.

    A path that is not absolute is relative to the working directory.

    Raises:
        ValueError: another scheme or host, or not a usable path; the message gives the reason,
            never the text.
    """
    if not text.strip() or not text.isprintable():
        raise ValueError("empty, or holds control characters")
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", text)
    if not scheme:
        return Path(text).resolve()
    if scheme[1].lower() != "file":
        raise ValueError("neither a local path nor an S3 URI (s3a://BUCKET/FOLDER)")
    uri = urlsplit(text)
    if uri.netloc not in ("", "localhost") or uri.query or uri.fragment:
        raise ValueError("a file: URI with a host, a query or a fragment")
    path = unquote(uri.path)
    if not path.startswith("/") or not path.isprintable():
        raise ValueError("a file: URI without an absolute path")
    return Path(path).resolve()


def folder(text: str, store: S3) -> Location:
    """A local folder, or a folder in S3 (`s3a://BUCKET/FOLDER`).

    Raises:
        ValueError: as `local_folder`; a URI without a bucket; a name that Delta does not allow.
    """
    if not text.isprintable():
        raise ValueError("empty, or holds control characters")
    if text.startswith("s3://"):
        raise ValueError("write S3 folders as s3a://BUCKET/FOLDER, as Spark does")
    found = location(text, store) or local_folder(text)
    if "`" in str(found):
        raise ValueError("a folder with a ` in its name, which Delta's SQL cannot quote")
    return found


def landing_folder(text: str) -> str:
    """A folder of files, or a pattern of folders, independent of the working directory.

    Local paths become absolute. The URI of another file system (`s3a://`, `hdfs://`) stays as
    it is.

    Raises:
        ValueError: not a usable path; the message gives the reason, never the text.
    """
    if not text.strip() or not text.isprintable():
        raise ValueError("empty, or holds control characters")
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", text)
    if not scheme or scheme[1].lower() == "file":
        return str(local_folder(text))
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]", text):
        raise ValueError("a URI without a host or bucket; write it as s3a://BUCKET/FOLDER")
    return text.rstrip("/")
