"""Files of one shape are a table: which files, in which folder, under which name."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from os.path import commonpath
from pathlib import Path

from medallion_jobs.errors import UsageError
from medallion_jobs.project.kinds import TEXT, Kind, merged_fields
from medallion_jobs.project.sampling import Sample, csv_fields, sample, suffixes

_SAMPLED = 20  # of the files that have one folder, name and suffix but for digits
_MOST_FILES = 100_000
_ALIKE = 0.6  # share of the columns of the file with fewer of them
_LEAST_NAME, _MOST_NAME = 3, 40
_NOT_A_NAME = re.compile(r"(?:[\d_.\-T]|\bpart\b|\bv\d+\b)+")
_GENERAL = {"", "part", "data", "file", "files", "export", "dump", "landing", "in"}
_BY_FOLDER = re.compile(r"[^=]+=.*|\d[\d_.\-]*")  # `date=2026-01-31`, `2026`


@dataclass(frozen=True)
class Files:
    """The files of one table.

    Attributes:
        name: the table's name.
        folder: where they are.
        pattern: of their names; empty if all files in the folder are of this table.
        recursive: whether some are in folders below it.
        samples: those that were looked at.
        count: how many files they are.
    """

    name: str
    folder: Path
    pattern: str
    recursive: bool
    samples: Sequence[Sample]
    count: int

    @property
    def fields(self) -> dict[str, Kind | None]:
        """The columns of all files."""
        if self.samples[0].format != "csv":
            return merged_fields(one.fields for one in self.samples)
        comma = _decimal_comma(self.samples)
        return merged_fields(csv_fields(list(one.fields), one.rows, comma) for one in self.samples)

    @property
    def options(self) -> dict[str, object]:
        """The options of the reader."""
        comma = {"decimal_comma": True} if _decimal_comma(self.samples) else {}
        return {**self.samples[0].options, **comma}


@dataclass(frozen=True)
class Found:
    """What was found in the given files and folders.

    Attributes:
        left_out: files that no table reads.
    """

    tables: Sequence[Files]
    left_out: Sequence[Path]


def found_in(given: Sequence[Path]) -> Found:
    """The tables of the given files and folders.

    Raises:
        UsageError: one is missing or cannot be read, or there is no file with records.
    """
    files = sorted(set(_files(given)))
    if not files:
        raise UsageError(
            f"there are no files in {', '.join(map(str, given))}",
            code="no_files_to_sample",
            untouched="nothing was written",
            next_step="name a folder with files: medallion init NAME --from FOLDER",
        )
    root = Path(commonpath([file.parent for file in files]))
    tables: list[Files] = []
    left_out: list[Path] = []
    by_place = defaultdict(list)
    for file in files:
        by_place[_place(file, root)].append(file)
    for place, some in by_place.items():
        clusters, others = _clusters(some)
        left_out += others
        folder = root / place
        for samples, members in clusters:
            name = _name(samples, folder, alone=len(clusters) == 1 and bool(place))
            tables.append(_table(name, folder, samples, members))
    if not tables:
        raise UsageError(
            f"no format of the autoloader has files such as {files[0]}",
            code="no_files_to_sample",
            untouched="nothing was written",
            next_step="name files of json, csv, parquet, avro or text",
        )
    return Found(list(_named_apart(tables)), left_out)


def _files(given: Iterable[Path]) -> Iterator[Path]:
    for path in given:
        if not path.exists():
            raise UsageError(
                f"there is no file or folder {path}",
                code="no_files_to_sample",
                untouched="nothing was written",
                next_step="name a folder with files: medallion init NAME --from FOLDER",
            )
        inside = path.rglob("*") if path.is_dir() else [path]
        for number, file in enumerate(inside):
            if number == _MOST_FILES:
                break
            parts = file.relative_to(path).parts if path.is_dir() else ()
            is_hidden = any(part.startswith((".", "_")) for part in parts)
            if not is_hidden and file.is_file() and not file.is_symlink() and file.stat().st_size:
                yield file.resolve()


def _place(file: Path, root: Path) -> str:
    """The folder below the root that stands for a table; empty for the root itself."""
    parts = file.parent.relative_to(root).parts
    return "" if not parts or _BY_FOLDER.fullmatch(parts[0]) else parts[0]


def _clusters(files: Sequence[Path]) -> tuple[list[tuple[list[Sample], list[Path]]], list[Path]]:
    """Files of one shape together: some of them sampled, and all; and files of no format."""
    alike = defaultdict(list)
    for file in files:
        alike[(_stem(file), suffixes(file)[0])].append(file)
    clusters: list[tuple[list[Sample], list[Path]]] = []
    left_out: list[Path] = []
    for some in alike.values():
        step = -(-len(some) // _SAMPLED)
        last: list[Path] | None = None
        for number, file in enumerate(some):
            if number % step and last is not None:
                last.append(file)
                continue
            found = _sampled(file)
            if found is None:
                left_out.append(file)
                continue
            cluster = next((c for c in clusters if _is_alike(c[0], found)), None)
            if cluster is None:
                cluster = ([], [])
                clusters.append(cluster)
            cluster[0].append(found)
            cluster[1].append(file)
            last = cluster[1]
    return clusters, left_out


def _sampled(file: Path) -> Sample | None:
    try:
        return sample(file)
    except OSError as error:
        raise UsageError(
            f"{file} cannot be read: {error.strerror or error}",
            code="cannot_sample_file",
            untouched="nothing was written",
            next_step="give yourself the right to read it, or name only other files",
        ) from None


def _is_alike(cluster: Sequence[Sample], other: Sample) -> bool:
    first = cluster[0]
    if (first.format, first.options) != (other.format, other.options):
        return False
    commas = {_decimal_comma(cluster), other.dialect.decimal_comma if other.dialect else None}
    if {True, False} <= commas:
        return False
    if first.options.get("header") is False:
        return len(first.fields) == len(other.fields) and _stem(first.file) == _stem(other.file)
    known = merged_fields(one.fields for one in cluster)
    common = known.keys() & other.fields.keys()
    if len(common) < _ALIKE * min(len(known), len(other.fields)):
        return False
    if other.format != "parquet":
        return True
    return not any(
        both == TEXT and TEXT not in (known[name], other.fields[name])
        for name, both in merged_fields([known, other.fields]).items()
        if name in common
    )


def _decimal_comma(samples: Iterable[Sample]) -> bool | None:
    shown = {one.dialect.decimal_comma for one in samples if one.dialect} - {None}
    return next(iter(shown), None)


def _stem(file: Path) -> str:
    """What names of files have in common that differ in numbers and dates.

    >>> _stem(Path("orders_2026-01-31.csv.gz"))
    'orders'
    """
    stem = file.name.partition(".")[0]
    return _NOT_A_NAME.sub("_", stem).strip("_- ").lower()


def _name(samples: Sequence[Sample], folder: Path, *, alone: bool) -> str:
    stem = _start(sorted({_stem(one.file) for one in samples}))
    stem = stem if len(stem) >= _LEAST_NAME else ""
    return identifier(folder.name if alone or stem in _GENERAL else stem) or "files"


def identifier(text: str) -> str:
    """A text as the name of a table or a column; empty if it has no letter and no digit.

    >>> identifier("Größe (cm)"), identifier("2026 Orders"), identifier("orderId")
    ('groesse_cm', '_2026_orders', 'order_id')
    """
    for umlaut, letters in {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"}.items():
        text = text.replace(umlaut, letters).replace(umlaut.upper(), letters.title())
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.sub(r"(?<=[a-z\d])(?=[A-Z])", "_", plain)
    name = re.sub(r"[\W_]+", "_", words).strip("_").lower()[:_MOST_NAME]
    return f"_{name}" if name[:1].isdigit() else name


def _table(name: str, folder: Path, samples: Sequence[Sample], members: Sequence[Path]) -> Files:
    recursive = any(file.parent != folder for file in members)
    there = list(folder.rglob("*") if recursive else folder.glob("*"))
    visible = {
        file.resolve()
        for file in there
        if file.is_file()
        and not any(p.startswith((".", "_")) for p in file.relative_to(folder).parts)
    }
    pattern = "" if visible == set(members) else _pattern(members, visible)
    deeper = recursive or not any(file.is_dir() for file in there)
    return Files(name, folder, pattern, deeper, samples, len(members))


def _pattern(members: Sequence[Path], visible: Iterable[Path]) -> str:
    """A pattern of names that these files have, and no other file there."""
    names = {file.name for file in members}
    others = {file.name for file in visible} - names
    kinds = {suffixes(file) for file in members}
    endings = {kind + compression for kind, compression in kinds}
    ending = endings.pop() if len(endings) == 1 else f"{next(iter(kinds))[0]}*"
    start = _start(sorted(names))
    for pattern in (f"*{ending}", f"{start}*{ending}", f"{start}*"):
        if all(fnmatchcase(name, pattern) for name in names) and not any(
            fnmatchcase(name, pattern) for name in others
        ):
            return pattern
    listed = sorted(re.sub(r"([\\*?\[\]{},])", r"\\\1", name) for name in names)
    return listed[0] if len(listed) == 1 else "{" + ",".join(listed) + "}"


def _start(names: Sequence[str]) -> str:
    """The letters that all of these sorted names begin with, up to the first number."""
    first, last = names[0], names[-1]
    same = next(
        (n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first)
    )
    return re.split(r"[\d.*?\[\]{}\\]", first[:same], maxsplit=1)[0]


def _named_apart(tables: Iterable[Files]) -> Iterator[Files]:
    taken: set[str] = set()
    for table in tables:
        name, number = table.name, 1
        while name in taken:
            number += 1
            name = f"{table.name}_{number}"
        taken.add(name)
        yield replace(table, name=name)
