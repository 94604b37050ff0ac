"""Python transforms: a user's function, imported by its name, and checks of its result."""

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
    """Imports a function by a name such as `package.module:function`.

    Args:
        packages: the top-level packages whose code may be run.

    Raises:
        UsageError: the package is not allowed, the import fails, or there is no such function.
    """
    module_name, _, function = name.partition(":")
    package = module_name.partition(".")[0]
    if package not in packages:
        allowed = f"it has {', '.join(packages)}" if packages else "it is empty"
        raise _wrong(
            f"the package {package} is not allowed to run: `python_packages` does not name it "
            f"({allowed})",
            f"add {package} to `python_packages` in the config if you trust it",
        )
    module = _imported(module_name)
    found = getattr(module, function, None)
    if not callable(found):
        problem = "is no function" if hasattr(module, function) else "is missing"
        raise _wrong(
            f"{function} {problem} in {module.__file__ or module_name}",
            f"define {function}(rows) in it, or fix `transform` in the config",
        )
    return found  # type: ignore[no-any-return]


def called(name: str, function: Transform, rows: DataFrame) -> DataFrame:
    """The result of a function for rows.

    Raises:
        UsageError: the function failed, did not return a DataFrame, returned duplicate or
            impossible column names, or dropped hidden columns.
    """
    try:
        result = function(rows)
    except (MedallionError, PySparkException):
        raise
    except Exception as error:
        raise _wrong(f"{name} failed: {type(error).__name__}: {error}", f"fix {name}") from error
    if not isinstance(result, DataFrame):
        raise _wrong(f"{name} returned {type(result).__name__}, not a DataFrame", f"fix {name}")
    _check_columns(name, rows, result)
    return result


def _imported(name: str) -> ModuleType:
    try:
        return import_module(name)
    except Exception as error:  # any error while the module is imported
        missing = isinstance(error, ModuleNotFoundError) and error.name
        where = "install it where medallion runs, or put its folder on PYTHONPATH"
        raise _wrong(
            f"cannot import {name}: {type(error).__name__}: {error}",
            where if missing else f"fix {name}",
        ) from error


def _check_columns(name: str, rows: DataFrame, result: DataFrame) -> None:
    lower = [column.lower() for column in result.columns]
    duplicates = sorted({column for column in lower if lower.count(column) > 1})
    if duplicates:
        raise _wrong(
            f"{name} returned more than one column named {', '.join(duplicates)}",
            f"rename or drop one of them in {name}",
        )
    before, after = _hidden(rows), _hidden(result)
    if before - after:
        raise _wrong(
            f"{name} dropped the columns that record failed reads: {_quoted(before - after)}",
            "keep them, as rows.select('*', …) and rows.withColumn(…) do, or read the JSON in "
            "the function instead of by `parse`",
        )
    if after - before:
        raise _wrong(
            f"{name} returned columns with a space in their name, which no table can have: "
            f"{_quoted(after - before)}",
            f"rename them in {name}",
        )


def _hidden(rows: DataFrame) -> set[str]:
    return {column for column in rows.columns if is_hidden(column)}


def _quoted(columns: set[str]) -> str:
    return ", ".join(f"`{column}`" for column in sorted(columns))


def _wrong(problem: str, next_step: str) -> UsageError:
    return UsageError(
        problem, code="invalid_transform", untouched="nothing was written", next_step=next_step
    )
