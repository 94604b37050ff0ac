"""What a container may do, seen from within, and the commands that start no JVM."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.containers import Engine, why_not

SECRETS = ("SPARK_AUTH_SECRET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")

pytestmark = pytest.mark.skipif(why_not() is not None, reason=f"no containers here: {why_not()}")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("containers")
    folder.chmod(0o755)
    with Engine(folder, dict.fromkeys(SECRETS, "x" * 40)) as made:
        made.start("seed")
        made.await_ready("seed", "service_completed_successfully")
        yield made


def test_only_tmp_and_the_volumes_can_be_written(engine: Engine) -> None:
    places = (
        "/ /opt /opt/venv /opt/cache /opt/medallion /etc /usr /usr/bin /var /lake /landing /tmp"
    )
    line = f'for at in {places}; do touch "$at/.probe" 2>/dev/null && echo "$at"; done; true'
    code, said = engine.run("gold", ["sh", "-c", line])
    assert (code, said.split()) == (0, ["/lake", "/landing", "/tmp"])


def test_a_library_can_be_loaded_from_tmp(engine: Engine) -> None:
    line = "cp /bin/true /tmp/true && /tmp/true"
    assert engine.run("gold", ["sh", "-c", line]) == (0, "")


def test_it_has_no_capability_and_gets_none(engine: Engine) -> None:
    line = "grep -E '^(Cap|NoNewPrivs)' /proc/self/status"
    code, said = engine.run("gold", ["sh", "-c", line])
    status = dict(one.split() for one in said.splitlines())
    assert code == 0
    assert status.pop("NoNewPrivs:") == "1"
    assert {int(held, 16) for held in status.values()} == {0}


def test_the_network_is_the_services_own(engine: Engine) -> None:
    code, said = engine.run("gold", ["getent", "hosts", "spark-master", "gold"])
    assert code == 0
    assert len({line.split()[0] for line in said.splitlines()}) == 2
    assert engine.run("gold", ["cat", "/proc/net/tcp"])[1].count("\n") == 1  # its heading


@pytest.mark.parametrize(
    "command",
    [
        ["--version"],
        ["status"],
        ["query", "SELECT count(*) FROM silver.customers"],
        ["config", "show"],
    ],
    ids=" ".join,
)
def test_a_command_answers_on_a_read_only_root(engine: Engine, command: list[str]) -> None:
    code, said = engine.run("gold", ["medallion", *command])
    assert code == 0, said


def test_a_layer_that_never_ran_is_not_healthy(engine: Engine) -> None:
    code, said = engine.run("gold", ["healthy", "layer", "gold"])
    assert (code, said) == (1, "gold.sales_by_region_day: no table yet\n")
    code, said = engine.run("gold", ["healthy", "master"])
    assert code == 1
