"""The one-shot that makes the bucket, against a store that speaks S3."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.lake import ROOT

BUCKET = ROOT / "deploy" / "docker" / "bin" / "bucket"


def start(name: str, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(BUCKET), name],
        env={
            **os.environ,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
            "no_proxy": "127.0.0.1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    told, _ = process.communicate(timeout=600)
    assert process.returncode == 0, told
    return told


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


@pytest.fixture
def early(port: int) -> Iterator[subprocess.Popen[str]]:
    """A one-shot that was started before the store."""
    process = start("lake", port)
    yield process
    process.kill()
    process.wait()


def test_it_waits_for_the_store_and_makes_the_bucket_once(
    early: subprocess.Popen[str], port: int
) -> None:
    time.sleep(1)
    assert early.poll() is None
    server = Path(sys.executable).with_name("moto_server")
    line = [str(server), "-H", "127.0.0.1", "-p", str(port)]
    store = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert said(early) == "bucket lake made\n"
        assert said(start("lake", port)) == "bucket lake is there\n"
    finally:
        store.kill()
        store.wait()
