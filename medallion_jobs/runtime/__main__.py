"""Prepares what Spark needs, for the scripts and for people with a spark-submit of their own.

python -m medallion_jobs.runtime java     find a Java, say which
python -m medallion_jobs.runtime jars     fetch what is missing of Delta's jars, check them
python -m medallion_jobs.runtime jars --all
                                          the same for every jar that the package may need
python -m medallion_jobs.runtime shell    both, as lines for a shell to eval
"""

from __future__ import annotations

import shlex
import sys

from medallion_jobs.errors import MedallionError, UsageError
from medallion_jobs.runtime.cache import from_home
from medallion_jobs.runtime.jars import delta_jars, known_jars
from medallion_jobs.runtime.java import find_java


def main(arguments: list[str]) -> int:
    """Runs one of the three commands; the exit code is the error's, as everywhere."""
    commands = {"java": _java, "jars": _jars, "jars --all": _all_jars, "shell": _shell}
    wanted = " ".join(arguments)
    try:
        if wanted not in commands:
            raise UsageError(
                f"no such command: {wanted or '(none)'}",
                next_step=f"python -m medallion_jobs.runtime {'|'.join(commands)}",
            )
        commands[wanted]()
    except MedallionError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def _java() -> None:
    _say(f"java         {find_java().how}")


def _jars() -> None:
    jars = delta_jars(tell=lambda line: _say(f"delta jars   {line}"))
    _say(f"delta jars   {len(jars)} in {from_home(jars[0].parent)} (checked)")


def _all_jars() -> None:
    jars = delta_jars(known_jars(), tell=lambda line: _say(f"jars         {line}"))
    _say(f"jars         {len(jars)} in {from_home(jars[0].parent)} (checked)")


def _shell() -> None:
    sys.stdout.write(f"export JAVA_HOME={shlex.quote(str(find_java().home))}\n")
    jars = ",".join(map(str, delta_jars(tell=_say)))
    sys.stdout.write(f"export MEDALLION_JARS={shlex.quote(jars)}\n")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
