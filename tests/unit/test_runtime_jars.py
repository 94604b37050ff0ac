"""Fetching the jars from a server on this machine that cuts, lies and refuses."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from medallion_jobs.errors import MedallionError, TransientError, UsageError
from medallion_jobs.runtime.jars import Jar, delta_jars

BYTES = bytes(range(256)) * 1024
ONE = Jar("org.test", "one", "1.0", hashlib.sha256(BYTES).hexdigest())
TWO = Jar("org.test", "two", "1.0", hashlib.sha256(BYTES[::-1]).hexdigest())


@dataclass
class Maven:
    """A repository whose manners a test sets."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    status: int = 200
    cut_after: list[int] = field(default_factory=list)  # for the next answers, in turn
    ranges: bool = True
    asked: list[str | None] = field(default_factory=list)  # the Range of each request
    logins: list[str | None] = field(default_factory=list)

    def serve(self, *jars: Jar, content: bytes = BYTES) -> None:
        self.files.update({f"/{jar.path}": content for jar in jars})


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Maven]:
    state = Maven()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            state.logins.append(self.headers.get("Authorization"))
            content = state.files.get(self.path)
            if state.status != 200 or content is None:
                self.send_error(state.status if state.status != 200 else 404)
                return
            start = 0
            if wanted and state.ranges:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(content):
                    self.send_error(416)
                    return
            body = content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: state.cut_after.pop(0)] if state.cut_after else body)

        def log_message(self, *_: object) -> None:
            """Keeps the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # so that server_close() waits for the answers under way
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("MEDALLION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MEDALLION_MAVEN_URL", state.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "jars"


def test_a_jar_is_fetched_once_and_then_only_checked(maven: Maven, folder: Path) -> None:
    maven.serve(ONE)
    told: list[str] = []

    assert delta_jars((ONE,), report=told.append) == [folder / "one-1.0.jar"]
    assert delta_jars((ONE,), report=told.append) == [folder / "one-1.0.jar"]

    assert (folder / "one-1.0.jar").read_bytes() == BYTES
    assert len(maven.asked) == len(told) == 1
    assert {path.name for path in folder.iterdir()} == {"one-1.0.jar", ".lock"}


def test_a_damaged_jar_in_the_cache_is_fetched_again(maven: Maven, folder: Path) -> None:
    maven.serve(ONE)
    folder.mkdir(parents=True)
    (folder / ONE.file).write_bytes(BYTES[:-1])

    delta_jars((ONE,))

    assert (folder / ONE.file).read_bytes() == BYTES


def test_a_cut_connection_is_taken_up_where_it_stopped(maven: Maven, folder: Path) -> None:
    maven.serve(ONE)
    maven.cut_after = [1000]

    delta_jars((ONE,))

    assert maven.asked == [None, "bytes=1000-"]
    assert (folder / ONE.file).read_bytes() == BYTES


def test_the_next_run_goes_on_where_a_failed_one_stopped(maven: Maven, folder: Path) -> None:
    maven.serve(ONE)
    maven.cut_after = [5000, 0]  # the second connection brings nothing: the network is gone
    with pytest.raises(TransientError) as caught:
        delta_jars((ONE,))
    assert "one-1.0.jar.part" in caught.value.untouched
    assert (folder / "one-1.0.jar.part").read_bytes() == BYTES[:5000]

    maven.asked.clear()
    delta_jars((ONE,))

    assert maven.asked == ["bytes=5000-"]
    assert (folder / ONE.file).read_bytes() == BYTES


def test_a_server_without_ranges_sends_all_of_it_again(maven: Maven, folder: Path) -> None:
    maven.serve(ONE)
    maven.ranges = False
    folder.mkdir(parents=True)
    (folder / "one-1.0.jar.part").write_bytes(BYTES[:5000])

    delta_jars((ONE,))

    assert (folder / ONE.file).read_bytes() == BYTES


@pytest.mark.parametrize("left_over", [b"another file's bytes", BYTES, BYTES + b"more"])
def test_a_left_over_that_does_not_fit_is_dropped(
    maven: Maven, folder: Path, left_over: bytes
) -> None:
    maven.serve(ONE)
    folder.mkdir(parents=True)
    (folder / "one-1.0.jar.part").write_bytes(left_over)

    delta_jars((ONE,))

    assert (folder / ONE.file).read_bytes() == BYTES


def test_wrong_bytes_name_both_sums_and_are_not_kept(maven: Maven, folder: Path) -> None:
    maven.serve(ONE, content=b"<html>please log in</html>")

    with pytest.raises(UsageError) as caught:
        delta_jars((ONE,))

    assert ONE.sha256 in caught.value.what
    assert hashlib.sha256(b"<html>please log in</html>").hexdigest() in caught.value.what
    assert maven.url in caught.value.what
    assert [path.name for path in folder.iterdir()] == [".lock"]


def test_a_network_that_is_down_is_worth_a_retry_and_says_what_is_there(
    maven: Maven, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maven.serve(ONE)
    delta_jars((ONE,))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("MEDALLION_MAVEN_URL", closed)
        with pytest.raises(TransientError) as caught:
            delta_jars((ONE, TWO))

    assert closed in caught.value.what
    assert "MEDALLION_MAVEN_URL" in caught.value.what
    assert "one-1.0.jar" in caught.value.untouched
    assert (folder / ONE.file).exists()


@pytest.mark.parametrize(
    ("status", "error"), [(404, UsageError), (401, UsageError), (503, TransientError)]
)
def test_only_an_answer_that_may_change_is_worth_a_retry(
    maven: Maven, status: int, error: type[Exception]
) -> None:
    maven.status = status
    with pytest.raises(error) as caught:
        delta_jars((ONE,))
    assert str(status) in str(caught.value)


def test_a_repository_is_asked_with_the_login_of_its_address(
    maven: Maven, monkeypatch: pytest.MonkeyPatch
) -> None:
    maven.serve(ONE)
    monkeypatch.setenv("MEDALLION_MAVEN_URL", maven.url.replace("http://", "http://ann:word@"))

    delta_jars((ONE,))

    assert maven.logins == ["Basic " + base64.b64encode(b"ann:word").decode()]


@pytest.mark.parametrize(("status", "error"), [(403, UsageError), (503, TransientError)])
def test_where_only_settings_xml_names_a_mirror_the_variable_is_named(
    maven: Maven,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    error: type[MedallionError],
) -> None:
    settings = tmp_path / "home" / ".m2" / "settings.xml"
    settings.parent.mkdir(parents=True)
    settings.write_text("<settings><mirrors><mirror/></mirrors></settings>")
    for name in ("MEDALLION_MAVEN_URL", "DEFAULT_ARTIFACT_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("medallion_jobs.runtime.maven.central_url", lambda: maven.url)
    maven.status = status

    with pytest.raises(error) as caught:
        delta_jars((ONE,))

    assert "MEDALLION_MAVEN_URL=https://" in caught.value.next_step
    assert "settings.xml is not read" in caught.value.next_step


@pytest.mark.parametrize(
    "place",
    [
        f".m2/repository/{ONE.path}",
        f".ivy2.5.2/jars/{ONE.group}_{ONE.file}",
        f".ivy2/cache/{ONE.group}/{ONE.artifact}/jars/{ONE.file}",
    ],
)
def test_a_right_copy_on_this_machine_spares_the_network(
    maven: Maven, folder: Path, tmp_path: Path, place: str
) -> None:
    copy = tmp_path / "home" / place
    copy.parent.mkdir(parents=True)
    copy.write_bytes(BYTES)

    delta_jars((ONE,))

    assert (folder / ONE.file).read_bytes() == BYTES
    assert maven.asked == []


def test_a_wrong_copy_on_this_machine_is_not_taken(maven: Maven, tmp_path: Path) -> None:
    maven.serve(ONE)
    copy = tmp_path / "home" / ".m2" / "repository" / ONE.path
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"not it")

    delta_jars((ONE,))

    assert len(maven.asked) == 1
    assert copy.read_bytes() == b"not it"


def test_two_starts_at_once_fetch_once(maven: Maven, folder: Path) -> None:
    maven.serve(ONE)
    starts = [threading.Thread(target=delta_jars, args=((ONE,),)) for _ in range(4)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()

    assert len(maven.asked) == 1
    assert (folder / ONE.file).read_bytes() == BYTES
