"""How files are split into micro-batches."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from medallion_jobs.autoloader import FileEntry, chunks

FILES = st.lists(
    st.builds(
        FileEntry,
        modified_us=st.integers(-(10**6), 10**6),
        path=st.text("ab/", min_size=1, max_size=4).map("file:/".__add__),
        size=st.integers(0, 100),
    ),
    unique_by=lambda file: file.path,
    max_size=30,
)
LIMITS = st.integers(1, 150)


@given(FILES, LIMITS, LIMITS)
def test_every_file_once_and_the_oldest_first(
    files: list[FileEntry], max_files: int, max_bytes: int
) -> None:
    taken = [file for chunk in chunks(files, max_files, max_bytes) for file in chunk]
    assert taken == sorted(files, key=lambda file: (file.modified_us, file.path))


@given(FILES, LIMITS, LIMITS)
def test_both_limits_are_kept_but_for_one_large_file(
    files: list[FileEntry], max_files: int, max_bytes: int
) -> None:
    for chunk in chunks(files, max_files, max_bytes):
        assert 1 <= len(chunk) <= max_files
        assert sum(file.size for file in chunk) <= max_bytes or len(chunk) == 1


@given(FILES, LIMITS, LIMITS)
def test_no_chunk_could_have_taken_one_file_more(
    files: list[FileEntry], max_files: int, max_bytes: int
) -> None:
    split = list(chunks(files, max_files, max_bytes))
    for chunk, following in pairwise(split):
        size = sum(file.size for file in chunk) + following[0].size
        assert len(chunk) == max_files or size > max_bytes


def test_limits_that_are_met_exactly() -> None:
    files = [FileEntry(at, f"file:/{at}", 10) for at in range(6)]
    assert [len(chunk) for chunk in chunks(files, 100, 20)] == [2, 2, 2]
    assert [len(chunk) for chunk in chunks(files, 3, 10**9)] == [3, 3]


def test_a_large_file_goes_alone_and_holds_nobody_up() -> None:
    files = [
        FileEntry(0, "file:/a", 1),
        FileEntry(1, "file:/large", 99),
        FileEntry(2, "file:/b", 1),
    ]
    assert [[f.path for f in chunk] for chunk in chunks(files, 100, 10)] == [
        ["file:/a"],
        ["file:/large"],
        ["file:/b"],
    ]


def test_no_files_make_no_chunk() -> None:
    assert list(chunks([], 1, 1)) == []
