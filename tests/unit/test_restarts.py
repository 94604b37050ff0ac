"""When a query that failed in a continuous run starts again, and when it does not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from medallion_jobs.config import Restart
from medallion_jobs.engine.restarts import Restarts
from medallion_jobs.errors import DataError, LockHeld, MedallionError, TransientError, UsageError

PASSES = TransientError("no answer", code="network_failed")


def restarts(chance: float = 1.0, **policy: object) -> Restarts:
    return Restarts(Restart(**policy), lambda: chance)  # type: ignore[arg-type]


def fails(
    of: Restarts, error: MedallionError = PASSES, batch: int | None = 4, takes: tuple[str, ...] = ()
) -> float:
    return of.delay("bronze.x", error, batch, takes)


def test_the_wait_doubles_up_to_the_longest() -> None:
    of = restarts(first_delay="1s", max_delay="5s", max_attempts=50)
    assert [fails(of) for _ in range(5)] == [1, 2, 4, 5, 5]
    assert [fails(of) for _ in range(45)] == [5.0] * 45
    of.has_written()
    assert fails(of) == 1


def test_queries_that_fail_together_do_not_start_together() -> None:
    least = restarts(0.0, first_delay="4s")
    assert fails(least) == 2
    spread = {fails(Restarts(Restart(first_delay=timedelta(seconds=4)))) for _ in range(20)}
    assert len(spread) > 10
    assert all(2 <= wait <= 4 for wait in spread)


@pytest.mark.parametrize("attempts", [0, 1, 3])
def test_it_is_given_up_after_so_many_starts(attempts: int) -> None:
    of = restarts(max_attempts=attempts)
    for _ in range(attempts):
        fails(of)
    with pytest.raises(TransientError) as final:
        fails(of)
    assert final.value is PASSES
    of.has_written()
    if attempts:
        assert fails(of)


@pytest.mark.parametrize(
    "error",
    [
        DataError("a rule", code="rule_broken"),
        UsageError("no folder", code="no_landing_folder"),
        MedallionError("a bug", code="bug"),
        LockHeld("another run has it", holder={}),
    ],
)
def test_what_does_not_pass_is_not_tried_again(error: MedallionError) -> None:
    with pytest.raises(type(error)) as final:
        fails(restarts(), error)
    assert final.value is error


def test_a_full_disk_is_no_poison() -> None:
    full = TransientError("No space left on device: /lake/x", code="storage_failed")
    of = restarts()
    assert len([fails(of, full, takes=("/landing/a.json",)) for _ in range(20)]) == 20


def hangs(number: int) -> TransientError:
    what = f"bronze.x: task {number}.0 in stage {number * 7} took too long, id {number:032x}"
    return TransientError(what, code="batch_timeout")


def test_a_batch_that_fails_three_times_in_the_same_way_is_poison() -> None:
    of = restarts()
    fails(of, hangs(1))
    fails(of, hangs(2))
    with pytest.raises(DataError) as final:
        fails(of, hangs(3), takes=("topic t, partition 0, offsets 5 to 9",))
    error = final.value
    assert (error.code, error.exit_code) == ("poison_batch", 1)
    assert "bronze.x: batch 4 has failed 3 times in the same way: " in error.what
    assert "it reads: topic t, partition 0, offsets 5 to 9" in error.what
    assert error.__cause__ is not None


def test_poison_names_the_file_and_how_to_go_on_without_it() -> None:
    files = tuple(f"/landing/{name}.json" for name in "abcdef")
    denied = TransientError(f"bronze.x: Permission denied: {files[3]}", code="storage_failed")
    of = restarts()
    fails(of, denied, takes=files)
    fails(of, denied, takes=files)
    with pytest.raises(DataError, match="in the same way") as final:
        fails(of, denied, takes=files)
    assert final.value.what.endswith("it reads: /landing/d.json")
    assert "move /landing/d.json out of its folder" in final.value.next_step
    assert "medallion files" in final.value.next_step


@pytest.mark.parametrize("change", ["batch", "error", "written", "no batch"])
def test_it_is_poison_only_in_the_same_way_at_the_same_batch(change: str) -> None:
    of = restarts()
    batch = None if change == "no batch" else 4
    fails(of, hangs(1), batch)
    fails(of, hangs(2), batch)
    if change == "written":
        of.has_written()
    other = TransientError("executor 3 was lost", code="executor_lost")
    error = other if change == "error" else hangs(3)
    assert fails(of, error, 5 if change == "batch" else batch)
