"""What commands say of a lake in a store that they cannot ask."""

from __future__ import annotations

import sys

import pytest
from support import objects

from medallion_jobs.cli import main


@pytest.mark.parametrize(
    ("variable", "value", "code", "what"),
    [
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1", 75, "the store cannot be reached"),
        ("AWS_ACCESS_KEY_ID", "", 2, "the store cannot be used: Unable to locate credentials"),
        ("BUCKET", "elsewhere", 2, "there is no bucket elsewhere"),
    ],
)
def test_a_store_that_cannot_be_asked(
    store: objects.Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    variable: str,
    value: str,
    code: int,
    what: str,
) -> None:
    # The next client of the same settings is a new one.
    from medallion_jobs.storage.s3 import _session_and_client

    _session_and_client.cache_clear()
    for name, usual in {**store.environment, "BUCKET": "lake"}.items():
        monkeypatch.setenv(name, value if name == variable else usual)
    if variable == "AWS_ACCESS_KEY_ID":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "")
    root = f"storage.root=s3a://{value if variable == 'BUCKET' else 'lake'}/l"
    monkeypatch.setattr(sys, "argv", ["medallion", "status", "--set", root])
    with pytest.raises(SystemExit) as ended:
        main()
    _session_and_client.cache_clear()
    said = capsys.readouterr().err
    assert ended.value.code == code, said
    assert said.startswith(f"error: {what}")
    assert "untouched" in said
    assert "Traceback" not in said
