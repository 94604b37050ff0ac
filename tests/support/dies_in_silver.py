"""`medallion`, but it kills itself with -9 at a named point of silver's way; DIES_AT names it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from medallion_jobs.cli import main
from medallion_jobs.refine.batch import Refinery
from medallion_jobs.refine.quarantine.parked_rows import ParkedRows
from medallion_jobs.refine.quarantine.redrive import Redrive

# Each with the class and method, and whether death comes before it.
POINTS: dict[str, tuple[type, str, bool]] = {
    "before_the_commit": (Refinery, "commit", True),
    "before_rows_are_parked": (Refinery, "_park", True),
    "between_the_sidings": (ParkedRows, "put", False),
    "after_the_claim": (ParkedRows, "release", False),
    "after_released_rows_are_in": (Redrive, "_commit", False),
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def dying(call: Callable[..., Any], *, before: bool) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before:
            die()
        result = call(*args, **kwargs)
        die()
        return result

    return wrapped


if __name__ == "__main__":
    kind, method, before = POINTS[os.environ["DIES_AT"]]
    setattr(kind, method, dying(getattr(kind, method), before=before))
    main()
