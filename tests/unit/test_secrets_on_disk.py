"""A secret that reaches a remark, an error or the command line is not written to disk."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from medallion_jobs import masking
from medallion_jobs.autoloader import FileEntry, Ledger, Outcome, State
from medallion_jobs.checkpoint import Lock
from medallion_jobs.lake.tables import Txn
from medallion_jobs.observe.batch_table import BatchTable
from medallion_jobs.observe.events import BatchDone

SECRET = "tr0ub4dor&3"


def test_none_of_the_files_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    masking.remember(SECRET)
    monkeypatch.setattr(sys, "argv", ["medallion", "run", "--set", f"a.b={SECRET}"])
    ledger = Ledger(tmp_path / "ledger")
    ledger.ensure()
    outcome = Outcome(
        FileEntry(1, "file:/a", 1), State.QUARANTINED, error=f"cannot open with {SECRET}"
    )
    ledger.record([outcome], Txn("bronze.a/v1", 0, "run"), 1)
    done = BatchDone(
        table="bronze.a",
        batch=0,
        rows_out=0,
        seconds=1.0,
        backlog=None,
        remarks=(f"file:/a: cannot open with {SECRET}",),
    )
    BatchTable(tmp_path / "metrics").append(done, 1, "run")
    with Lock(tmp_path / "lock", "bronze.a"):
        texts = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert any(b"cannot open with ***" in text for text in texts)
    assert any(b"--set a.b=***" in text for text in texts)
    assert not any(SECRET.encode() in text for text in texts)
