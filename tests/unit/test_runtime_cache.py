"""Where the cache is, and that one start waits for another."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from medallion_jobs.errors import UsageError
from medallion_jobs.runtime.cache import INSTALLED_IN, cache_dir, from_home, locked


@pytest.fixture(autouse=True)
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MEDALLION_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


def test_our_variable_goes_before_xdg_and_xdg_before_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_dir() == tmp_path / "home" / ".cache" / "medallion_jobs"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "medallion_jobs"
    monkeypatch.setenv("MEDALLION_CACHE", str(tmp_path / "ours"))
    assert cache_dir() == tmp_path / "ours"
    assert cache_dir().is_dir()


def test_a_relative_xdg_folder_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_dir() == tmp_path / "home" / ".cache" / "medallion_jobs"


def test_a_cache_inside_the_repository_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = INSTALLED_IN / "cache-of-a-test"
    monkeypatch.setenv("MEDALLION_CACHE", str(inside))
    with pytest.raises(UsageError):
        cache_dir()
    assert not inside.exists()


def test_a_cache_that_cannot_be_made_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MEDALLION_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UsageError) as caught:
        cache_dir()
    assert str(tmp_path / "file" / "cache") in caught.value.what
    assert "MEDALLION_CACHE" in caught.value.next_step


def test_the_second_start_waits_and_says_so(tmp_path: Path) -> None:
    waiting = threading.Event()
    order: list[str] = []

    def second() -> None:
        with locked(tmp_path / "lock", lambda _: waiting.set()):
            order.append("second")

    with locked(tmp_path / "lock"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(timeout=60)
        order.append("first")
    thread.join(timeout=60)

    assert order == ["first", "second"]


def test_paths_are_shown_as_people_write_them() -> None:
    assert from_home(Path.home() / "a" / "b") == "~/a/b"
    assert from_home(Path("/elsewhere/b")) == "/elsewhere/b"
