"""The Avro schemas of messages: from files, and from a registry, each fetched once.

With a registry (Confluent's), a message starts with a zero byte and the four bytes of a schema's
id. An answer of the registry is kept beside the table's state, so that a batch that runs again
reads its messages as before, also if the registry is down.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import Request, urlopen

from medallion_jobs.errors import TransientError, UsageError
from medallion_jobs.storage import Location, put

_PATIENCE_SECONDS = 15
_NOT_FOUND, _NO_LOGIN = 404, (401, 403)
_UNTOUCHED = "nothing of the batch is visible; the next start runs it again"


def of_file(key: str, path: str) -> str:
    """The schema in an .avsc file, as JSON.

    Args:
        key: the config's key, for messages.

    Raises:
        UsageError: it cannot be read, or is no JSON.
    """
    try:
        return json.dumps(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"{key}: {path} is no Avro schema: {why}",
            code="avro_schema_unreadable",
            untouched="nothing was read",
            next_step="name a file with an Avro schema as JSON (.avsc)",
        ) from error


@dataclass(frozen=True)
class Written:
    """A schema that messages are written with, by its id.

    Attributes:
        text: the schema as JSON; None if messages of this id cannot be read.
        fault: why they cannot be read.
        is_kept: whether the registry has it; false for one that may still come.
    """

    text: str | None
    fault: str = ""
    is_kept: bool = True


@dataclass(frozen=True)
class Registry:
    """A schema registry, and the folder with the schemas that it has given."""

    url: str
    folder: Location

    def known(self) -> dict[int, Written]:
        """The schemas that were fetched, by id."""
        if not self.folder.is_dir():
            return {}
        files = [file for file in self.folder.iterdir() if file.name.endswith(".json")]
        return {
            int(file.name.removesuffix(".json")): _written(json.loads(file.read_text("utf-8")))
            for file in sorted(files, key=lambda file: file.name)
        }

    def fetched(self, ids: Iterable[int]) -> dict[int, Written]:
        """The schemas of these ids. One that the registry lacks is not kept, for it may come.

        Raises:
            TransientError: the registry does not answer.
            UsageError: it refuses the login.
        """
        found = {}
        for number in ids:
            answer = self._get(f"schemas/ids/{number}")
            if answer is None:
                found[number] = Written(None, "the registry has no such schema", is_kept=False)
                continue
            whole = {**answer, "references": self._referenced(answer, {})}
            put(self.folder / f"{number}.json", json.dumps(whole, indent=2).encode())
            found[number] = _written(whole)
        return found

    def newest(self, subject: str) -> int | None:
        """The id of the newest schema of a subject, such as `orders-value`; None without one."""
        answer = self._get(f"subjects/{quote(subject, safe='')}/versions/latest")
        return None if answer is None else int(answer["id"])

    def _referenced(self, answer: Mapping[str, Any], found: dict[str, str]) -> dict[str, str]:
        """The schemas that a schema refers to, by the name that it uses for each."""
        for reference in answer.get("references") or ():
            if reference["name"] not in found:
                subject = quote(reference["subject"], safe="")
                path = f"subjects/{subject}/versions/{reference['version']}"
                referred = self._get(path) or {}
                found[reference["name"]] = referred.get("schema", "")
                self._referenced(referred, found)
        return found

    def _get(self, path: str) -> Mapping[str, Any] | None:
        request = Request(f"{self._address}/{path}", headers=self._headers)  # noqa: S310 (http, by the config)
        try:
            with urlopen(request, timeout=_PATIENCE_SECONDS) as answer:  # noqa: S310
                found: Mapping[str, Any] = json.load(answer)
                return found
        except HTTPError as error:
            if error.code == _NOT_FOUND:
                return None
            if error.code in _NO_LOGIN:
                raise UsageError(
                    f"the schema registry at {self._address} refuses this login: {error}",
                    code="registry_refused",
                    untouched=_UNTOUCHED,
                    next_step="give `schema_registry` with a login, as ${env:NAME} or ${file:PATH}",
                ) from error
            raise self._unreachable(error) from error
        except (URLError, OSError, ValueError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> TransientError:
        return TransientError(
            f"the schema registry at {self._address} does not answer: {error}",
            code="registry_unreachable",
            untouched=_UNTOUCHED,
            next_step="check `schema_registry` and the network; then run again",
        )

    @cached_property
    def _address(self) -> str:
        """The URL without its login."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")

    @cached_property
    def _headers(self) -> dict[str, str]:
        parts = urlsplit(self.url)
        if parts.username is None:
            return {}
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


def _written(answer: Mapping[str, Any]) -> Written:
    kind = answer.get("schemaType", "AVRO")
    if kind != "AVRO":
        return Written(None, f"its schema is one of {kind}, not of Avro")
    try:
        schema = json.loads(answer["schema"])
        named = {name: json.loads(text) for name, text in answer.get("references", {}).items()}
    except ValueError:
        return Written(None, "its schema is no JSON")
    return Written(json.dumps(_inlined(schema, named)))


def _inlined(schema: Any, named: dict[str, Any]) -> Any:
    """A schema in which the first mention of each type of another schema is its definition."""
    if isinstance(schema, str):
        definition = named.pop(schema, None)
        return schema if definition is None else _inlined(definition, named)
    if isinstance(schema, list):
        return [_inlined(branch, named) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    found = dict(schema)
    for key in ("type", "items", "values"):
        if key in found:
            found[key] = _inlined(found[key], named)
    if isinstance(found.get("fields"), list):
        found["fields"] = [_inlined(field, named) for field in found["fields"]]
    return found
