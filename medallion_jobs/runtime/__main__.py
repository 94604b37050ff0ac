"""Prepares what Spark needs, for the scripts and for people with a spark-submit of their own.

python -m medallion_jobs.runtime java     find a Java, say which
python -m medallion_jobs.runtime jars     fetch what is missing of Delta's jars, check them
python -m medallion_jobs.runtime jars --all
                                          the same for every jar that the package may need
python -m medallion_jobs.runtime shell    both, as lines for a shell to eval
python -m medallion_jobs.runtime submit   a layer to spark-submit: scripts/submit
python -m medallion_jobs.runtime cluster  a small Spark cluster on this machine: scripts/cluster
"""

from __future__ import annotations

import shlex
import sys

from medallion_jobs.errors import MedallionError, UsageError
from medallion_jobs.runtime.cache import from_home
from medallion_jobs.runtime.jars import ALL, delta_jars
from medallion_jobs.runtime.java import find_java


def main(arguments: list[str]) -> int:
    """Runs one of the commands; the exit code is the error's, as everywhere."""
    alone = {"java": _java, "jars": _jars, "jars --all": _all_jars, "shell": _shell}
    with_options = {"submit": _submit, "cluster": _cluster}
    command, *rest = arguments or [""]
    try:
        if command in with_options:
            with_options[command](rest)
        elif " ".join(arguments) in alone:
            alone[" ".join(arguments)]()
        else:
            raise UsageError(
                f"no such command: {' '.join(arguments) or '(none)'}",
                next_step=f"python -m medallion_jobs.runtime {'|'.join((*alone, *with_options))}",
            )
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
    jars = delta_jars(ALL, tell=lambda line: _say(f"jars         {line}"))
    _say(f"jars         {len(jars)} in {from_home(jars[0].parent)} (checked)")


def _shell() -> None:
    sys.stdout.write(f"export JAVA_HOME={shlex.quote(str(find_java().home))}\n")
    jars = ",".join(map(str, delta_jars(tell=_say)))
    sys.stdout.write(f"export MEDALLION_JARS={shlex.quote(jars)}\n")


# The set-up asks for a Java and for jars before what these two import is installed.


def _submit(words: list[str]) -> None:
    from medallion_jobs.runtime import submit  # noqa: PLC0415

    submit.main(words)


def _cluster(words: list[str]) -> None:
    from medallion_jobs.runtime import cluster  # noqa: PLC0415

    cluster.main(words)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
