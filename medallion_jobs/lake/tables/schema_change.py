"""Parses Delta's error for a schema change of a table that a stream reads.

The streaming source ends its query before it plans a batch with the new schema, and a restart
from the same checkpoint continues with the next row. Spark returns the failure only as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_CHANGED = re.compile(r"\[DELTA_SCHEMA_CHANGED(?:_WITH_VERSION)?\]")
_VERSION = re.compile(r"schema change in version (\d+)")
_TREES = re.compile(r"schema: root\n(.*?)\n\n", re.DOTALL)
# A line of a schema tree, such as `    |-- city: string (nullable = true)`, and the indent of
# each level.
_FIELD = re.compile(r"^([ |]*)-- (.+): (\S+)", re.MULTILINE)
_INDENT = 5


@dataclass(frozen=True)
class SchemaChange:
    """A schema change of a query's source, which ended the query.

    Attributes:
        version: the source's version with the change; None if the message has none.
        fields: fields that are new or have another type, such as `address.city string`.
    """

    version: int | None
    fields: tuple[str, ...]

    @classmethod
    def from_failure(cls, failure: str) -> SchemaChange | None:
        """The schema change in the text of a failure; None for any other failure."""
        if not _CHANGED.search(failure):
            return None
        version = _VERSION.search(failure)
        trees = [list(_fields(tree)) for tree in _TREES.findall(failure)]
        old, new = trees if len(trees) == 2 else ([], [])  # noqa: PLR2004 (before and after)
        return cls(
            version=int(version.group(1)) if version else None,
            fields=tuple(field for field in new if field not in old),
        )


def _fields(tree: str) -> Iterator[str]:
    """The fields of a schema tree, as dotted path and type."""
    path: list[str] = []
    for field in _FIELD.finditer(tree):
        indent, name, kind = field.groups()
        path[len(indent) // _INDENT :] = [name]
        yield f"{'.'.join(path)} {kind}"
