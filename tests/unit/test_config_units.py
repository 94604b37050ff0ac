"""Sizes and times: what is read, what is refused, and that writing and reading agree."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medallion_jobs.config.units import format_size, format_time, parse_size, parse_time


@pytest.mark.parametrize(
    ("text", "count"),
    [("1", 1), (7, 7), ("12b", 12), ("10k", 10240), ("10m", 10485760), ("2G", 2 << 30)],
)
def test_a_size_is_bytes(text: object, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize(
    "size", ["", "0", 0, -1, "-1m", "1.5g", "1 g", "1gb", "g", "10m\n", True, None, 1.0, "9999999t"]
)
def test_what_is_no_size_is_refused(size: object) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(size)


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("10s", 10), ("5m", 300), ("2h", 7200), ("1d", 86400)]
)
def test_a_time_is_a_span(text: str, seconds: float) -> None:
    assert parse_time(text).total_seconds() == seconds


@pytest.mark.parametrize(
    "time", ["", "0s", "10", 10, "-1s", "1.5h", "10 seconds", "s", "10s\n", None, "99999d"]
)
def test_what_is_no_time_is_refused(time: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_time(time)


@given(st.integers(min_value=1, max_value=(1 << 63) - 1))
def test_a_written_size_is_read_as_the_same_bytes(count: int) -> None:
    assert parse_size(format_size(count)) == count


@given(st.integers(min_value=1, max_value=1 << 22), st.sampled_from("bkmgt"))
def test_a_size_is_its_number_times_its_unit(number: int, unit: str) -> None:
    assert parse_size(f"{number}{unit}") == number * 1024 ** "bkmgt".index(unit)


@given(st.integers(min_value=1, max_value=3650 * 86_400_000))
def test_a_written_time_is_read_as_the_same_span(milliseconds: int) -> None:
    span = timedelta(milliseconds=milliseconds)
    assert parse_time(format_time(span)) == span
