"""The image's health check, on a status and on pages of the test's own."""

from __future__ import annotations

import json
import os
import runpy
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.lake import ROOT

SCRIPT = runpy.run_path(str(ROOT / "deploy" / "docker" / "bin" / "healthy"))
main: Callable[..., int] = SCRIPT["main"]

TABLES = [
    {"table": "bronze.a", "rows": 0, "state": "running"},
    {"table": "silver.b", "rows": 5, "state": "died"},
    {"table": "gold.c", "rows": None, "state": "running"},
]


@pytest.fixture
def status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `medallion` that tells of these tables, and how it was called."""
    program = tmp_path / "medallion"
    told = tmp_path / "told"
    program.write_text(f"#!/bin/sh\necho \"$@\" > {told}\ncat <<'END'\n{json.dumps(TABLES)}\nEND\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return told


@pytest.mark.parametrize(
    ("layer", "code", "said"),
    [
        ("bronze", 0, "healthy\n"),
        ("silver", 1, "silver.b: died\n"),
        ("gold", 1, "gold.c: no table yet\n"),
        ("all", 1, "silver.b: died\ngold.c: no table yet\n"),
    ],
)
def test_a_layer_is_healthy_when_its_tables_are_filled(
    status: Path, capsys: pytest.CaptureFixture[str], layer: str, code: int, said: str
) -> None:
    assert main("layer", layer, "--config", "c.yaml") == code
    assert capsys.readouterr().out == said
    assert status.read_text() == "status --json --config c.yaml\n"


def test_a_config_with_a_mistake_is_not_healthy(
    status: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status.with_name("medallion").write_text("#!/bin/sh\necho 'error: a mistake' >&2\nexit 2\n")
    assert main("layer", "gold") == 1
    assert capsys.readouterr().out == "error: a mistake\n"


@pytest.fixture
def page() -> Iterator[ThreadingHTTPServer]:
    """A page that tells the status in the attribute `status`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"status": self.server.status}).encode()  # type: ignore[attr-defined]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keeps the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(("status", "code"), [("ALIVE", 0), ("STANDBY", 1)])
def test_a_master_is_healthy_when_its_page_says_so(
    page: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, status: str, code: int
) -> None:
    page.status = status  # type: ignore[attr-defined]
    monkeypatch.setenv("SPARK_LOCAL_HOSTNAME", "127.0.0.1")
    monkeypatch.setitem(SCRIPT["PORTS"], "master", page.server_port)
    assert main("master") == code


def test_without_a_page_nothing_is_healthy(
    page: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_LOCAL_HOSTNAME", "127.0.0.1")
    monkeypatch.setitem(SCRIPT["PORTS"], "worker", page.server_port)
    page.shutdown()
    page.server_close()
    assert main("worker") == 1
