"""The command line as a process of its own, to be watched and killed."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.lake import ROOT, Lake

# For a JVM of a minute or two: most of what it would compile well it would not run again.
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
# Seconds after which a process hangs, rather than that the machine is slow. Nothing waits so long
# where all is well.
PATIENCE = 600.0


class Medallion:
    """A `medallion` command that runs beside the test; killed at the end if it still runs."""

    def __init__(
        self, lake: Lake, *arguments: str, script: Path | None = None, **environment: str
    ) -> None:
        program = [str(script)] if script else ["-m", "medallion_jobs"]
        # Beside the landed files: the storage may be on a disk that is full.
        self.output = lake.landing.parent / f"out-{time.monotonic_ns()}.txt"
        with self.output.open("w") as out:
            self._process = subprocess.Popen(
                [sys.executable, *program, *arguments, *lake.arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=lake.landing.parent,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
                    "JDK_JAVA_OPTIONS": SHORT_LIVED,
                    **environment,
                },
            )
        self.pid = self._process.pid

    def __enter__(self) -> Medallion:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.signal(9)
        self._process.wait(timeout=PATIENCE)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = PATIENCE) -> int:
        """The exit code; negative where a signal ended it."""
        return self._process.wait(timeout=seconds)

    def wait_until(self, seen: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        """What `seen` gives once it gives something."""
        deadline = time.monotonic() + seconds
        while not (found := seen()):
            assert self._process.poll() is None, f"ended too early:\n{self.text}"
            assert time.monotonic() < deadline, f"not seen in {seconds} s:\n{self.text}"
            time.sleep(0.05)
        return found

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def text(self) -> str:
        return self.output.read_text(errors="replace")

    @property
    def events(self) -> list[dict[str, Any]]:
        """The progress that it has told so far, as JSON lines."""
        lines = self.text.splitlines(keepends=True)
        return [json.loads(x) for x in lines if x.startswith("{") and x.endswith("\n")]


def completed(lake: Lake, *arguments: str) -> tuple[int, str]:
    """Runs a command to its end: exit code, and all that it said."""
    with Medallion(lake, *arguments) as process:
        return process.wait(), process.text


def seconds_of_work(lake: Lake, *arguments: str) -> tuple[float, int, str]:
    """As `completed`, with the processor's time that it took: other tests run beside it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code, said = completed(lake, *arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return took, code, said


def quick() -> float:
    """As many seconds of the processor as a command without a JVM may take on this machine.

    `status` takes 2 to 3 times as long as a Python that imports libraries, a refused `run` 4 times.
    """
    line = [sys.executable, "-c", "import deltalake, duckdb, pyarrow, pydantic, rich, typer"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(line, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 12 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
