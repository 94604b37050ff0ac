"""Python transforms: a function of the user's, found by its name and held to its word."""

from __future__ import annotations

from collections.abc import Callable, Collection
from importlib import import_module
from types import ModuleType

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

from medallion_jobs.errors import MedallionError, UsageError
from medallion_jobs.lake.hidden_columns import is_hidden

Transform = Callable[[DataFrame], DataFrame]


def load(name: str, packages: Collection[str]) -> Transform:
    """The function of a name such as `package.module:function`.

    Args:
        packages: the top-level packages whose code may be run.

    Raises:
        UsageError: another package; or there is no such function, or it cannot be imported.
    """
    module_name, _, function = name.partition(":")
    package = module_name.partition(".")[0]
    if package not in packages:
        allowed = f"it has {', '.join(packages)}" if packages else "it is empty"
        raise _wrong(
            f"no code of the package {package} may be run: `python_packages` does not name it "
            f"({allowed})",
            f"add {package} to `python_packages` in the config if you trust it",
        )
    module = _imported(module_name)
    found = getattr(module, function, None)
    if not callable(found):
        there = "is no function" if hasattr(module, function) else "is not there"
        raise _wrong(
            f"{function} {there} in {module.__file__ or module_name}",
            f"define {function}(rows) in it, or mend `transform` in the config",
        )
    return found  # type: ignore[no-any-return]


def called(name: str, function: Transform, rows: DataFrame) -> DataFrame:
    """What a function makes of rows.

    Raises:
        UsageError: it failed; what it gave is no DataFrame; it repeats or invents columns that
            no table can have, or lacks those that the refinery needs later.
    """
    try:
        made = function(rows)
    except (MedallionError, PySparkException):
        raise
    except Exception as error:
        raise _wrong(f"{name} failed: {type(error).__name__}: {error}", f"mend {name}") from error
    if not isinstance(made, DataFrame):
        raise _wrong(f"{name} returned {type(made).__name__}, not a DataFrame", f"mend {name}")
    _check_columns(name, rows, made)
    return made


def _imported(name: str) -> ModuleType:
    try:
        return import_module(name)
    except Exception as error:  # whatever the module does when it is imported
        missing = isinstance(error, ModuleNotFoundError) and error.name
        where = "install it where medallion runs, or put its folder on PYTHONPATH"
        raise _wrong(
            f"cannot import {name}: {type(error).__name__}: {error}",
            where if missing else f"mend {name}",
        ) from error


def _check_columns(name: str, rows: DataFrame, made: DataFrame) -> None:
    lower = [column.lower() for column in made.columns]
    repeated = sorted({column for column in lower if lower.count(column) > 1})
    if repeated:
        raise _wrong(
            f"{name} returned more than one column named {', '.join(repeated)}",
            f"rename or drop one of them in {name}",
        )
    went, came = _hidden(rows), _hidden(made)
    if went - came:
        raise _wrong(
            f"{name} dropped columns that tell what could not be read: {_told(went - came)}",
            "let them through, as rows.select('*', …) and rows.withColumn(…) do, or read the "
            "JSON in the function instead of by `parse`",
        )
    if came - went:
        raise _wrong(
            f"{name} made columns with a space in their name, which no table has: "
            f"{_told(came - went)}",
            f"rename them in {name}",
        )


def _hidden(rows: DataFrame) -> set[str]:
    return {column for column in rows.columns if is_hidden(column)}


def _told(columns: set[str]) -> str:
    return ", ".join(f"`{column}`" for column in sorted(columns))


def _wrong(what: str, next_step: str) -> UsageError:
    return UsageError(what, untouched="nothing was written", next_step=next_step)
