"""How many files one micro-batch takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from medallion_jobs.autoloader.found import Found


def chunks(found: Iterable[Found], max_files: int, max_bytes: int) -> Iterator[list[Found]]:
    """Splits files, oldest first, into chunks that keep both limits.

    A file that is larger than `max_bytes` makes a chunk of its own: it has to be read some
    time, and a limit that it can never meet would hold it back for ever.
    """
    chunk: list[Found] = []
    size = 0
    for file in sorted(found):
        if chunk and (len(chunk) >= max_files or size + file.size > max_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append(file)
        size += file.size
    if chunk:
        yield chunk
