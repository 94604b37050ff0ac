"""The house rules: floors, circles, private names, and what must stay free of Spark."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

PACKAGE = "medallion_jobs"
ROOT = Path(__file__).parents[2] / PACKAGE

# From the top. A room imports from lower floors only: not from its own, not from above.
FLOORS = (
    {"__main__"},
    {"cli"},
    {"pipeline"},
    {"testing"},
    {"plan", "rebuild", "project"},
    {"bronze", "silver", "gold", "validation", "report", "maintenance"},
    {"refine"},
    {"kafkaloader"},
    {"autoloader", "aggregate", "generator", "sinks"},
    {"engine"},
    {"runs"},
    {"checkpoint", "observe"},
    {"lake", "runtime"},
    {"config"},
    {"storage"},
    {"errors", "__init__"},
    {"masking", "clock"},
)

# These commands answer at once because they start no JVM and do not import Spark either.
WITHOUT_SPARK = (
    "status",
    "query",
    "graph",
    "files",
    "stop",
    "destroy",
    "drop",
    "generate",
    "config",
    "checkpoint",
    "schema",
    "maintain",
    "quality",
    "quarantine",
    "runs",
    "check",
    "init",
    "explain",
)
MOST_LINES = 500


@dataclass(frozen=True)
class Import:
    """One name that a module imports from another module of the package.

    Attributes:
        by, of: modules, as dotted names below the package.
        name: what is taken from `of`; empty when it is the module itself.
        in_function: whether it happens only when a function is called.
    """

    by: str
    of: str
    name: str
    in_function: bool

    def __str__(self) -> str:
        return f"{self.by} imports {self.of}" + (f".{self.name}" if self.name else "")


def room(module: str) -> str:
    return module.partition(".")[0]


@cache
def trees() -> dict[str, ast.Module]:
    """Every module by its dotted name below the package, parsed."""
    found = {}
    for file in sorted(ROOT.rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        found[name] = ast.parse(file.read_text(encoding="utf-8"), str(file))
    return found


@cache
def nodes(module: str) -> list[ast.AST]:
    return list(ast.walk(trees()[module]))


@cache
def imports() -> tuple[Import, ...]:
    return tuple(one for module in trees() for one in imports_in(module))


def imports_in(module: str) -> Iterator[Import]:
    # What stands at the top, or there below `if TYPE_CHECKING:`.
    outside = [
        n
        for top in trees()[module].body
        for n in (top, *(top.body if isinstance(top, ast.If) else ()))
    ]
    for node in nodes(module):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports by dots; write the whole name"
            if room(node.module or "") == PACKAGE:
                for alias in node.names:
                    of, name = resolved(node.module or "", alias.name)
                    yield Import(module, of, name, node not in outside)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if room(alias.name) == PACKAGE:
                    of, name = resolved(alias.name, "")
                    yield Import(module, of, name, node not in outside)


def resolved(module: str, name: str) -> tuple[str, str]:
    """`from MODULE import NAME` as the module it is about, and the name in it if NAME is no module.

    >>> resolved("medallion_jobs.checkpoint", "lock")
    ('checkpoint.lock', '')
    """
    below = module.removeprefix(PACKAGE).removeprefix(".")
    inner = f"{below}.{name}".strip(".")
    return (inner, "") if inner in trees() else (below or "__init__", name)


def floor(module: str) -> int:
    return next(place for place, rooms in enumerate(FLOORS) if room(module) in rooms)


def test_every_room_has_one_floor() -> None:
    rooms = [one for floor in FLOORS for one in floor]
    assert len(rooms) == len(set(rooms))
    assert set(rooms) == {room(module) for module in trees()}


def test_imports_run_downwards() -> None:
    wrong = [
        f"{one}: floor {floor(one.by)} to {floor(one.of)}"
        for one in imports()
        if room(one.by) != room(one.of) and floor(one.of) <= floor(one.by)
    ]
    assert wrong == []


def shown_by(package: str) -> set[str]:
    """What a package shows to other rooms: names and modules in its `__all__`."""
    for node in trees()[package].body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def test_rooms_import_from_each_other_what_they_show() -> None:
    packages = {module.rpartition(".")[0] for module in trees()} - {""}
    hidden = set()
    for one in imports():
        if room(one.by) == room(one.of):
            continue
        parts = one.of.split(".")
        for depth, name in enumerate(parts[1:], 1):
            package = ".".join(parts[:depth])
            if name not in shown_by(package):
                hidden.add(f"{one}: {package} does not show {name}")
        if one.of in packages and one.name and one.name not in shown_by(one.of):
            hidden.add(f"{one}: {one.of} does not show {one.name}")
    assert hidden == set()


def test_no_circles() -> None:
    """Neither when modules are loaded nor by imports in functions."""
    reached: dict[str, set[str]] = {module: set() for module in trees()}
    for one in imports():
        if one.by != one.of:
            reached[one.by].add(one.of)
    waiting = dict(reached)
    while free := [module for module, on in waiting.items() if not on & waiting.keys()]:
        for module in free:
            del waiting[module]
    assert waiting == {}


def test_nobody_takes_anothers_private_names() -> None:
    taken = [
        str(one)
        for one in imports()
        if one.name != "__version__"
        and any(part.startswith("_") for part in (one.name, *one.of.removeprefix("__").split(".")))
    ]
    reached = [
        f"{module}:{node.lineno} {ast.unparse(node)}"
        for module in trees()
        for node in nodes(module)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and isinstance(node.value, ast.Name)
        and node.value.id in bound_in(module)
    ]
    assert taken + reached == []


def bound_in(module: str) -> set[str]:
    """Names in `module` that stand for modules or classes of the package."""
    return {
        alias.asname or alias.name
        for node in nodes(module)
        if isinstance(node, ast.ImportFrom) and room(node.module or "") == PACKAGE
        for alias in node.names
    }


def test_the_quick_commands_load_no_spark() -> None:
    """Nor does anything that they import when they are called."""
    loaded = {f"cli.{command}" for command in WITHOUT_SPARK}
    loaded |= {one.of for one in imports() if one.by in loaded and one.in_function}
    modules = sorted(f"{PACKAGE}.{one}" for one in loaded)
    assert f"{PACKAGE}.report.status" in modules
    code = f"import sys, {', '.join(modules)}\n" + (
        "print(*sorted({'pyspark', 'py4j', 'delta'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.stderr, run.stdout.split()) == ("", [])


def test_no_module_hides_one_that_others_import_by_its_name() -> None:
    """spark-submit puts the job file's own folder first on `sys.path`."""
    names = {path.stem for path in ROOT.iterdir() if not path.name.startswith("__")} - {"py"}
    installed = packages_distributions().keys() - {PACKAGE}
    assert "pyspark" in installed
    assert names & (installed | sys.stdlib_module_names) == set()


def test_no_python_runs_for_a_row() -> None:
    """But for a pipeline's own `transform`, all is expressions of Spark's own."""
    by_row = {
        *("udf", "pandas_udf", "arrow_udf", "udtf", "rdd", "foreach", "foreachPartition"),
        *("mapInPandas", "mapInArrow", "applyInPandas", "applyInArrow"),
    }
    used = {
        f"{module}:{node.lineno} {node.attr}"
        for module in trees()
        for node in nodes(module)
        if isinstance(node, ast.Attribute) and node.attr in by_row
    }
    assert used == set()


def test_files_are_small_and_say_what_they_are_for() -> None:
    lines = {
        file.relative_to(ROOT): len(file.read_text(encoding="utf-8").splitlines())
        for file in ROOT.rglob("*.py")
    }
    assert {file: count for file, count in lines.items() if count > MOST_LINES} == {}
    assert [module for module, tree in trees().items() if not ast.get_docstring(tree)] == []


def test_only_the_command_line_and_a_submitted_job_print() -> None:
    printing = {
        module
        for module in trees()
        for node in nodes(module)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    }
    assert {module for module in printing if room(module) != "cli"} <= {"engine.runner"}
