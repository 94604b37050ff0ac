"""`medallion stop`: asks, waits, and says so when it was in vain."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace

import pytest
from lakes import GOLD, SILVER, Lake, Medallion

from medallion_jobs.checkpoint import Lock

pytestmark = pytest.mark.usefixtures("ran")

# By its name one gets the function, which bears the same.
MODULE = sys.modules["medallion_jobs.cli.stop"]


def test_when_nothing_runs_nothing_is_asked(lake: Lake, medallion: Medallion) -> None:
    Lock(lake.home(GOLD).lock, str(GOLD)).release()
    before = lake.files()
    answer = medallion("stop")
    assert (answer.code, answer.out, answer.err) == (0, "", "nothing is running\n")
    assert lake.files() == before


def test_only_the_running_are_asked(lake: Lake, medallion: Medallion) -> None:
    with Lock(lake.home(GOLD).lock, str(GOLD)):
        answer = medallion("stop", "--wait", "0")
        assert answer.code == 0
        assert answer.err == f"asked to stop: {GOLD}\n"
        assert "medallion stop" in lake.home(GOLD).stop.read_text()
        assert not lake.home(SILVER).stop.exists()


def test_it_waits_for_the_end(
    lake: Lake, medallion: Medallion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODULE, "_POLL_SECONDS", 0.01)
    held = Lock(lake.home(GOLD).lock, str(GOLD))

    def obey() -> None:
        while not lake.home(GOLD).stop.exists():
            pass
        held.release()

    query = threading.Thread(target=obey)
    query.start()
    answer = medallion("stop", "--wait", "30")
    query.join()
    assert answer.code == 0
    assert answer.err.splitlines()[-1] == "stopped"


def test_who_does_not_end_in_time_is_named_with_75(
    lake: Lake, medallion: Medallion, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    clock.sleep = lambda seconds: setattr(clock, "now", clock.now + seconds)
    monkeypatch.setattr(MODULE, "time", clock)
    with Lock(lake.home(GOLD).lock, str(GOLD)), Lock(lake.home(SILVER).lock, str(SILVER)):
        answer = medallion("stop", "--wait", "7")
    assert answer.code == 75
    assert 7 <= clock.now < 8
    assert f"still running after 7 s: {SILVER}, {GOLD}" in answer.err
    assert "medallion status" in answer.err
