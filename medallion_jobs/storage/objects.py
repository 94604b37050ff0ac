"""Objects in a bucket, with the methods of files in folders.

There are no real folders: a folder exists as long as an object is below it, and `mkdir` does
nothing. Writing an object is atomic.
"""

from __future__ import annotations

import fnmatch
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from medallion_jobs.storage.faults import StoreError, as_file_errors
from medallion_jobs.storage.s3 import S3

_DELETED_AT_ONCE = 1000


class Stat(NamedTuple):
    """Size in bytes, and time of the last write in seconds since 1970."""

    st_size: int
    st_mtime: float


class Head(NamedTuple):
    """An object's size in bytes, time of the last write, ETag and user metadata."""

    size: int
    modified_s: int
    tag: str
    metadata: Mapping[str, str]


class Sighting(NamedTuple):
    """An object's content, its ETag, and its age in seconds by the store's clock."""

    data: bytes
    tag: str
    age_seconds: float


@dataclass(frozen=True, order=True)
class ObjectPath:
    """`s3a://BUCKET/KEY`, with the method names of `pathlib.Path`."""

    bucket: str
    key: str
    store: S3

    def __str__(self) -> str:
        """The URI for Spark."""
        return f"s3a://{self.bucket}/{self.key}".rstrip("/")

    @property
    def uri(self) -> str:
        """The URI for delta-rs and DuckDB."""
        return f"s3://{self.bucket}/{self.key}".rstrip("/")

    # -- names, without a request -----------------------------------------------------------

    def __truediv__(self, name: str) -> ObjectPath:
        return self._at(f"{self.key}/{name}" if self.key else str(name))

    @property
    def name(self) -> str:
        return PurePosixPath(self.key).name

    @property
    def stem(self) -> str:
        return PurePosixPath(self.key).stem

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.key).suffix

    @property
    def parent(self) -> ObjectPath:
        above = str(PurePosixPath(self.key).parent)
        return self._at("" if above == "." else above)

    @property
    def parents(self) -> Sequence[ObjectPath]:
        above = self.parent
        return [] if above == self else [above, *above.parents]

    def with_name(self, name: str) -> ObjectPath:
        return self.parent / name

    @property
    def pure(self) -> PurePosixPath:
        """The name as a pure path, to compare it with others."""
        return PurePosixPath("//s3a", self.bucket, self.key)

    # -- reads ------------------------------------------------------------------------------

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        with as_file_errors(self, self.bucket):
            found = self._client.list_objects_v2(Bucket=self.bucket, Prefix=self._prefix, MaxKeys=1)
        return bool(found["KeyCount"])

    def stat(self) -> Stat:
        head = self.head()
        return Stat(head.size, head.modified_s)

    def head(self) -> Head:
        """The object's size, time, ETag and metadata, without its content."""
        with as_file_errors(self, self.bucket):
            head = self._client.head_object(Bucket=self.bucket, Key=self.key)
        at = int(head["LastModified"].timestamp())
        return Head(head["ContentLength"], at, head["ETag"], head.get("Metadata", {}))

    def iterdir(self) -> Iterator[ObjectPath]:
        for page in self._pages(Delimiter="/"):
            for folder in page.get("CommonPrefixes", ()):
                yield self._at(folder["Prefix"].rstrip("/"))
            for item in page.get("Contents", ()):
                if item["Key"] != self._prefix:  # a placeholder of consoles for an empty folder
                    yield self._at(item["Key"])

    def glob(self, pattern: str) -> Iterator[ObjectPath]:
        """The children that match a pattern; patterns over several folders are not supported."""
        if "/" in pattern or "**" in pattern:
            raise NotImplementedError(pattern)
        return (child for child in self.iterdir() if fnmatch.fnmatchcase(child.name, pattern))

    def rglob(self, pattern: str) -> Iterator[ObjectPath]:
        for page in self._pages():
            for item in page.get("Contents", ()):
                found = self._at(item["Key"])
                if fnmatch.fnmatchcase(found.name, pattern):
                    yield found

    def read_bytes(self) -> bytes:
        return self.read_with_tag().data

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def read_with_tag(self) -> Sighting:
        """The object's content, with the ETag that a conditional write needs."""
        with as_file_errors(self, self.bucket):
            got = self._client.get_object(Bucket=self.bucket, Key=self.key)
            data = bytes(got["Body"].read())
        # Both times are by the store's clock, so no other clock must be right.
        now = got["ResponseMetadata"]["HTTPHeaders"].get("date")
        moment = parsedate_to_datetime(now) if now else datetime.now(timezone.utc)
        return Sighting(data, got["ETag"], (moment - got["LastModified"]).total_seconds())

    # -- writes -----------------------------------------------------------------------------

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Does nothing: a folder exists if something is in it."""

    def write_bytes(self, data: bytes) -> int:
        self.put(data)
        return len(data)

    def write_text(self, text: str, encoding: str = "utf-8") -> int:
        return self.write_bytes(text.encode(encoding))

    def touch(self) -> None:
        if not self.is_file():
            self.write_bytes(b"")

    def put(self, data: bytes, *, new: bool = False, in_place_of: str | None = None) -> str:
        """Writes the object atomically.

        Args:
            new: write only if the object does not exist.
            in_place_of: write only if the object has this ETag.

        Returns:
            The ETag of the written object.

        Raises:
            FileExistsError: a condition was not met; the object is unchanged.
        """
        when = {"IfNoneMatch": "*"} if new else {"IfMatch": in_place_of} if in_place_of else {}
        with as_file_errors(self, self.bucket):
            put = self._client.put_object(Bucket=self.bucket, Key=self.key, Body=data, **when)
        return str(put["ETag"])

    def copy_to(self, other: ObjectPath, *, of: str, metadata: Mapping[str, str]) -> None:
        """Copies the object within the store atomically, if it has the ETag `of`.

        Args:
            metadata: the copy's user metadata; that of the object is not copied.
        """
        with as_file_errors(self, self.bucket):
            self._client.copy_object(
                Bucket=other.bucket,
                Key=other.key,
                CopySource={"Bucket": self.bucket, "Key": self.key},
                CopySourceIfMatch=of,
                MetadataDirective="REPLACE",
                Metadata=dict(metadata),
            )

    def unlink(self, *, missing_ok: bool = False) -> None:
        if not missing_ok:
            self.stat()
        with as_file_errors(self, self.bucket):
            self._client.delete_object(Bucket=self.bucket, Key=self.key)

    def rmdir(self) -> None:
        """Deletes the placeholder object of an empty folder, if there is one."""
        with as_file_errors(self, self.bucket):
            self._client.delete_object(Bucket=self.bucket, Key=self._prefix)

    def remove_all(self) -> None:
        """Deletes the object and everything below it."""
        keys = [item["Key"] for page in self._pages() for item in page.get("Contents", ())]
        for at in range(0, len(keys), _DELETED_AT_ONCE):
            some = [{"Key": key} for key in keys[at : at + _DELETED_AT_ONCE]]
            with as_file_errors(self, self.bucket):
                response = self._client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": some, "Quiet": True}
                )
            if failed := response.get("Errors"):
                raise StoreError(failed[0]["Message"], self._at(failed[0]["Key"]))
        self.unlink(missing_ok=True)

    def open(self, mode: str = "r", encoding: str = "utf-8") -> Any:
        """The content as a file opened for reading."""
        if mode not in ("r", "rb"):
            raise NotImplementedError(mode)
        data = io.BytesIO(self.read_bytes())
        return data if mode == "rb" else io.TextIOWrapper(data, encoding=encoding)

    # -----------------------------------------------------------------------------------------

    @property
    def _client(self) -> Any:
        return self.store.client

    @property
    def _prefix(self) -> str:
        return f"{self.key}/" if self.key else ""

    def _at(self, key: str) -> ObjectPath:
        return ObjectPath(self.bucket, key, self.store)

    def _pages(self, **more: str) -> Iterator[Any]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self._prefix, **more
        )
        with as_file_errors(self, self.bucket):
            yield from pages
