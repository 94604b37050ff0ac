"""The names of columns in the headers of csv files, as the options of the source change them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from medallion_jobs.autoloader.readers.csv_head import Head, fields_of
from medallion_jobs.autoloader.readers.file_schemas import BrokenHeadError

SNAKE_CASE = "snake_case"
_LINES_SHOWN = 20  # lines below the first one that may be the header
_OTHER_SEPS = (";", "\t", "|", ",")
# Between words: `orderId`, `HTTPServer`.
_NEW_WORD = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z\d])(?=[A-Z][a-z])")


@dataclass(frozen=True)
class Naming:
    """How names in a header become names of columns.

    Attributes:
        renamed: new names by old ones; None to keep the names; the text `snake_case`.
        ignores_case: whether a name is that of a column in another letter case.
    """

    renamed: Mapping[str, str] | str | None
    ignores_case: bool

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Naming:
        """The naming of a source's options."""
        renamed = options.get("rename_columns")
        return cls(
            renamed if renamed in (None, SNAKE_CASE) else json.loads(renamed or "{}"),
            options.get("header_case") == "ignore",
        )

    def names(self, head: Head, newline: str, known: Collection[str]) -> tuple[str, ...]:
        """The names of a header's columns; empty for a column without one.

        Args:
            known: the wanted columns; unless empty, the header must have at least one of them.

        Raises:
            BrokenHeadError: the header does not fit; the text says which option takes it.
        """
        fields = head.fields or []
        names = self._renamed(fields)
        if self.ignores_case:
            names = _in_case_of(known, names)
        repeated = sorted({name for name in names if name and names.count(name) > 1})
        if repeated:
            way = (
                "; `rename_columns` gives several columns one name"
                if self.renamed is not None
                else "; `rename_columns: snake_case`, or a mapping, numbers repeated names"
            )
            raise BrokenHeadError(f"its header repeats {', '.join(repeated)}{way}")
        if known and not set(known) & set(names):
            shown = ", ".join(fields)[:200]
            raise BrokenHeadError(
                f"its header has no column of the table, if it is one: {shown}"
                f"; {self._way(head, newline, known)}"
            )
        return tuple(names)

    def _renamed(self, fields: Sequence[str]) -> list[str]:
        if self.renamed is None:
            return list(fields)
        if isinstance(self.renamed, str):
            return _numbered(map(snake_case, fields))
        return [self.renamed.get(name, name) for name in _numbered(fields)]

    def _way(self, head: Head, newline: str, known: Collection[str]) -> str:
        """What may be done so that a file with this header can be read."""
        fields, wanted = head.fields or [], set(known)
        lowered = {name.lower() for name in known}
        if lowered & {name.lower() for name in fields}:
            return "set `header_case: ignore` to match names without their letter case"
        if wanted & set(map(snake_case, fields)):
            return "set `rename_columns: snake_case`"
        sep = head.dialect.sep
        for other in _OTHER_SEPS:
            if len(fields) == 1 and wanted & {*fields[0].split(other)} and other != sep:
                return f"set `sep: {json.dumps(other)}`"
        lines = head.rest.split(newline)[:_LINES_SHOWN]
        for number, line in enumerate(lines, head.next_line):
            below = {name.lower() for name in fields_of(line, head.dialect, newline)}
            if lowered & below:
                return f"line {number} looks like it: set `skip_rows: {number - 1}`"
        return "if the files have no header, set `header: false`"


def snake_case(name: str) -> str:
    """A name in lower case, with `_` for whatever is no letter and no digit.

    >>> snake_case("Unit price (EUR)"), snake_case("orderID")
    ('unit_price_eur', 'order_id')
    """
    return re.sub(r"[\W_]+", "_", _NEW_WORD.sub("_", name)).strip("_").lower()


def _numbered(names: Iterable[str]) -> list[str]:
    """Names, with `_2`, `_3` … after those that came before."""
    given = list(names)
    taken, result = set(given), []
    seen: set[str] = set()
    for name in given:
        free, number = name, 1
        while name and free in (seen if number == 1 else taken):
            number += 1
            free = f"{name}_{number}"
        taken.add(free)
        seen.add(free)
        result.append(free)
    return result


def _in_case_of(known: Collection[str], names: Sequence[str]) -> list[str]:
    """Names in the letter case of the table's columns; one that is exact is not repeated."""
    columns = {column.lower(): column for column in known}
    exact = set(known) & set(names)
    in_case = (columns.get(name.lower(), name) for name in names)
    return [
        name if name in exact or column in exact else column
        for name, column in zip(names, in_case, strict=True)
    ]
