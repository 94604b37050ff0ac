"""The readers, which turn files of each format into records."""

from collections.abc import Mapping
from importlib import import_module

from medallion_jobs.autoloader.readers.records import FormatReader

__all__ = ["file_schemas", "json_reasons", "reader_of"]

# By format, the module and the class that reads it.
_READERS = {
    "json": ("json_lines", "JsonLines"),
    "csv": ("csv_files", "CsvFiles"),
    "parquet": ("parquet_files", "ParquetFiles"),
    "avro": ("avro_files", "AvroFiles"),
    "text": ("text_files", "TextFiles"),
    "binary": ("binary_files", "BinaryFiles"),
}
_MULTI_LINE_JSON = ("json_documents", "JsonDocuments")


def reader_of(name: str, options: Mapping[str, str]) -> FormatReader:
    """The reader for a format with these options."""
    is_document = name == "json" and options.get("multiLine", "false").lower() == "true"
    module, reader = _MULTI_LINE_JSON if is_document else _READERS[name]
    made: FormatReader = getattr(import_module(f"{__name__}.{module}"), reader)()
    return made
