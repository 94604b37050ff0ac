"""The log file of a run: the lines of its progress as JSON, and the errors of the JVM.

The JVM writes its errors, with their stack traces, into a private file of this machine. From there
they are taken over with every secret masked, which only this process knows.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import threading
import time
from functools import cached_property
from pathlib import Path

from medallion_jobs.masking import masked
from medallion_jobs.storage import Location, put

# A longer file loses its older half.
MOST_BYTES = 8_000_000
# An object cannot be appended to, so it is written again, so often at most.
_UPLOAD_SECONDS = 300.0
_JVM_LINE = re.compile(r"^(?=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d )", re.MULTILINE)
_JVM_MOST_BYTES = 1_000_000


def private_folder(run_id: str) -> Path:
    """The folder of this machine where a run keeps what is not masked, until it ends."""
    return Path(tempfile.gettempdir()) / f"medallion-run-{run_id}"


class LogFile:
    """The log of one run, at a location on a disk or in a store."""

    def __init__(self, at: Location) -> None:
        self._at = at
        self._guard = threading.Lock()
        self._read_to = 0
        self._uploaded = 0.0  # by the monotonic clock
        self._is_new = False

    @cached_property
    def _private(self) -> Path:
        folder = private_folder(self._at.stem)
        folder.mkdir(mode=0o700)
        return folder

    @cached_property
    def _file(self) -> Path:
        file = self._at if isinstance(self._at, Path) else self._private / "run.log"
        file.parent.mkdir(parents=True, exist_ok=True)
        return file

    @cached_property
    def of_jvm(self) -> Path:
        """Where the JVM is to write its errors."""
        return self._private / "jvm.log"

    def add(self, line: str) -> None:
        """Appends a line.

        Raises:
            OSError: the disk is full, or not writable.
        """
        with self._guard:
            with self._file.open("a", encoding="utf-8") as out:
                out.write(line + "\n")
                size = out.tell()
            self._is_new = True
            if size > MOST_BYTES:
                kept = self._file.read_bytes()[-MOST_BYTES // 2 :].partition(b"\n")[2]
                put(self._file, kept, synced=False)

    def take_over(self) -> None:
        """Appends what the JVM has written.

        Raises:
            OSError: the file cannot be written.
        """
        for text in self._from_jvm():
            self.add(json.dumps({"event": "jvm", "text": masked(text.rstrip())}))

    def gather(self, *, last: bool = False) -> None:
        """Appends what the JVM has written; to a store, also writes the file there.

        Args:
            last: the run is over.

        Raises:
            OSError: the file cannot be written.
        """
        self.take_over()
        due = last or time.monotonic() - self._uploaded > _UPLOAD_SECONDS
        if not isinstance(self._at, Path) and self._is_new and due:
            self._is_new, self._uploaded = False, time.monotonic()
            put(self._at, self._file.read_bytes())

    def close(self) -> None:
        """Takes over the rest, and removes the private files.

        Raises:
            OSError: the file cannot be written.
        """
        try:
            self.gather(last=True)
        finally:
            self.discard()

    def discard(self) -> None:
        """Removes the private files."""
        if "_private" in self.__dict__:
            shutil.rmtree(self._private, ignore_errors=True)

    def _from_jvm(self) -> list[str]:
        """What the JVM has written since the last look: an entry with its stack trace each."""
        if "of_jvm" not in self.__dict__ or not self.of_jvm.exists():
            return []
        with self.of_jvm.open("rb+") as file:
            file.seek(self._read_to)
            data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._read_to += len(whole)
            # Log4j appends, so it goes on at the start of the emptied file.
            if self._read_to > _JVM_MOST_BYTES and len(whole) == len(data):
                file.truncate(0)
                self._read_to = 0
        return [part for part in _JVM_LINE.split(whole.decode(errors="replace")) if part.strip()]
