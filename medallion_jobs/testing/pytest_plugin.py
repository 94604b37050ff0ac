"""Has pytest find the cases of files such as `tests/sales.yaml`, each as a test of its own.

Little but pytest is imported until there is such a file, and Spark only when a case runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from medallion_jobs.testing.cases.recognition import is_case_file

if TYPE_CHECKING:
    from _pytest._code.code import TerminalRepr

    from medallion_jobs.testing.cases.running import Result


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A file of cases, if it is one."""
    if not is_case_file(file_path):
        return None
    return CaseFile.from_parent(parent, path=file_path)


class CaseFile(pytest.File):
    """A file of cases."""

    def collect(self) -> Iterator[pytest.Item]:
        """Its cases, by their names."""
        from medallion_jobs.errors import MedallionError  # noqa: PLC0415
        from medallion_jobs.testing.cases import discovery  # noqa: PLC0415

        try:
            for case in discovery.named(self.path):
                yield CaseItem.from_parent(self, name=case.name, line=case.line)
        except MedallionError as error:
            raise self.CollectError(str(error)) from None


class CaseItem(pytest.Item):
    """A case."""

    def __init__(self, *, line: int, **others: object) -> None:
        super().__init__(**others)  # type: ignore[arg-type]
        self.line = line

    def runtest(self) -> None:
        """Runs the case.

        Raises:
            CaseDiffersError: something is not as it expects.
            MedallionError: its file or its config has mistakes.
        """
        from medallion_jobs.testing.cases import files, running  # noqa: PLC0415

        found = files.read([self.path], wanted=[self.name])
        (case,) = (case for case in found if case.name == self.name)
        result = running.run(case)
        if not result.is_ok:
            raise CaseDiffersError(result)

    def repr_failure(
        self,
        excinfo: pytest.ExceptionInfo[BaseException],
        style: Any = None,
    ) -> str | TerminalRepr:
        """What differs, or the mistakes; of a bug, the traceback."""
        from medallion_jobs.errors import MedallionError  # noqa: PLC0415

        if isinstance(excinfo.value, CaseDiffersError | MedallionError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the case is."""
        return self.path, self.line - 1, self.name


class CaseDiffersError(AssertionError):
    """A case that is not as it expects; the text shows how."""

    def __init__(self, result: Result) -> None:
        from medallion_jobs.testing.cases.report import lines  # noqa: PLC0415

        super().__init__("\n".join(lines(result)))
