"""Prepares what Spark needs, for the scripts and for direct use of spark-submit.

python -m medallion_jobs.runtime java     find a Java and print it
python -m medallion_jobs.runtime jars     fetch the missing Delta jars, check all
python -m medallion_jobs.runtime jars --all
                                          the same for all jars of the package
python -m medallion_jobs.runtime classes  make the missing archive of classes
python -m medallion_jobs.runtime shell    Java and jars, as shell commands to eval
python -m medallion_jobs.runtime submit   submit a layer; used by scripts/submit
"""

from __future__ import annotations

import shlex
import sys

from medallion_jobs.errors import MedallionError, UsageError
from medallion_jobs.runtime.cache import from_home
from medallion_jobs.runtime.class_archive import ClassArchive
from medallion_jobs.runtime.jars import ALL, delta_jars
from medallion_jobs.runtime.java import find_java


def main(arguments: list[str]) -> int:
    """Runs one of the commands; returns 0, or the exit code of the error."""
    simple = {
        "java": _java,
        "jars": _jars,
        "jars --all": _all_jars,
        "classes": _classes,
        "shell": _shell,
    }
    command, *rest = arguments or [""]
    try:
        if command == "submit":
            _submit(rest)
        elif " ".join(arguments) in simple:
            simple[" ".join(arguments)]()
        else:
            raise UsageError(
                f"no such command: {' '.join(arguments) or '(none)'}",
                code="unknown_runtime_command",
                next_step=f"python -m medallion_jobs.runtime {'|'.join((*simple, 'submit'))}",
            )
    except MedallionError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def _java() -> None:
    _print(f"java         {find_java().how}")


def _jars() -> None:
    jars = delta_jars(report=lambda line: _print(f"delta jars   {line}"))
    _print(f"delta jars   {len(jars)} in {from_home(jars[0].parent)} (checked)")


def _all_jars() -> None:
    jars = delta_jars(ALL, report=lambda line: _print(f"jars         {line}"))
    _print(f"jars         {len(jars)} in {from_home(jars[0].parent)} (checked)")


def _classes() -> None:
    archive = ClassArchive(find_java())
    archive.make(lambda line: _print(f"classes      {line}"))
    _print(f"classes      archive in {from_home(archive.file.parent)} (checked)")


def _shell() -> None:
    sys.stdout.write(f"export JAVA_HOME={shlex.quote(str(find_java().home))}\n")
    jars = ",".join(map(str, delta_jars(report=_print)))
    sys.stdout.write(f"export MEDALLION_JARS={shlex.quote(jars)}\n")


def _submit(arguments: list[str]) -> None:
    # The set-up uses the other commands before the imports of this one are installed.
    from medallion_jobs.runtime import submit  # noqa: PLC0415

    submit.main(arguments)


def _print(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
