"""Which Python functions a transform may name, and what it says of those that it cannot call."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support.pages import ROOT

from medallion_jobs.config import SilverTable
from medallion_jobs.errors import UsageError
from medallion_jobs.refine.transform import functions

PACKAGE = "unit_transforms"
MODULES = {
    "__init__.py": "",
    "orders.py": "def same(rows):\n    return rows\n\nLIMIT = 3\n",
    "broken.py": "1 / 0\n",
    "needy.py": "import no_such_module_at_all\n",
}


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / PACKAGE
    folder.mkdir()
    for name, text in MODULES.items():
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [one for one in sys.modules if one.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def test_a_function_of_a_listed_package_is_found() -> None:
    rows = object()
    assert functions.load(f"{PACKAGE}.orders:same", ["other", PACKAGE])(rows) is rows  # type: ignore[arg-type,comparison-overlap]


@pytest.mark.parametrize("packages", [[], ["other"], [f"{PACKAGE}.orders"], ["unit"]])
def test_code_of_another_package_is_not_run(packages: list[str]) -> None:
    with pytest.raises(UsageError, match="`python_packages` does not name it") as raised:
        functions.load(f"{PACKAGE}.broken:same", packages)
    assert f"add {PACKAGE} to `python_packages`" in str(raised.value)
    assert f"{PACKAGE}.broken" not in sys.modules
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("orders:gone", "gone is missing in .*orders.py"),
        ("orders:LIMIT", "LIMIT is no function"),
        ("missing:same", f"cannot import {PACKAGE}.missing: ModuleNotFoundError"),
        ("needy:same", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("broken:same", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_function_that_is_not_there_is_told_with_the_cause(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        functions.load(f"{PACKAGE}.{name}", [PACKAGE])


def test_what_a_function_raises_is_told_with_its_name() -> None:
    def broken(rows: object) -> object:
        return {}["amount"]

    with pytest.raises(UsageError, match="shop:broken failed: KeyError: 'amount'"):
        functions.called("shop:broken", broken, object())  # type: ignore[arg-type]


@pytest.mark.parametrize("made", [None, 3])
def test_what_is_no_dataframe_is_refused(made: object) -> None:
    with pytest.raises(UsageError, match=f"returned {type(made).__name__}, not a DataFrame"):
        functions.called("shop:wrong", lambda _: made, object())  # type: ignore[arg-type,return-value]


def test_the_examples_of_the_page_are_configs() -> None:
    page = (ROOT / "docs" / "transforms.md").read_text(encoding="utf-8")
    shown = [
        YAML(typ="safe").load(one) for one in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    ]
    keys = [key for one in shown for key in one]
    for one in shown:
        SilverTable.model_validate({"from": "bronze.x", **one})
    order = re.search(r"^where -> .*$", page, re.MULTILINE)
    assert order
    told = [key for key in order[0].split(" -> ") if key != "lookups"]
    assert list(dict.fromkeys(keys)) == told
