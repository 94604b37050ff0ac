"""Objects in a bucket, asked like files in folders.

There are no folders: one is there as long as an object is below it, and making one does
nothing. An object appears whole under its name, or not at all.
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

from medallion_jobs.storage.faults import StoreError, told_as_files_do
from medallion_jobs.storage.s3 import S3

_DELETED_AT_ONCE = 1000


class Stat(NamedTuple):
    """Size in bytes, and when it was written, in seconds since 1970."""

    st_size: int
    st_mtime: float


class Head(NamedTuple):
    """What a store knows of an object: the tag tells its content from another."""

    size: int
    modified_s: int
    tag: str
    noted: Mapping[str, str]


class Sighting(NamedTuple):
    """An object's content, what tells this content from another, and its age by the store."""

    data: bytes
    tag: str
    age_seconds: float


@dataclass(frozen=True, order=True)
class ObjectPath:
    """`s3a://BUCKET/KEY`, in the names that `pathlib.Path` has for what can be asked of it."""

    bucket: str
    key: str
    store: S3

    def __str__(self) -> str:
        """As Spark takes it."""
        return f"s3a://{self.bucket}/{self.key}".rstrip("/")

    @property
    def uri(self) -> str:
        """As delta-rs and DuckDB take it."""
        return f"s3://{self.bucket}/{self.key}".rstrip("/")

    # -- the name alone ---------------------------------------------------------------------

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
        """The name as a path that is nowhere on this machine."""
        return PurePosixPath("//s3a", self.bucket, self.key)

    # -- what is there ----------------------------------------------------------------------

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        with told_as_files_do(self, self.bucket):
            found = self._client.list_objects_v2(Bucket=self.bucket, Prefix=self._prefix, MaxKeys=1)
        return bool(found["KeyCount"])

    def stat(self) -> Stat:
        head = self.head()
        return Stat(head.size, head.modified_s)

    def head(self) -> Head:
        """What the store knows of the object."""
        with told_as_files_do(self, self.bucket):
            head = self._client.head_object(Bucket=self.bucket, Key=self.key)
        at = int(head["LastModified"].timestamp())
        return Head(head["ContentLength"], at, head["ETag"], head.get("Metadata", {}))

    def iterdir(self) -> Iterator[ObjectPath]:
        for page in self._pages(Delimiter="/"):
            for folder in page.get("CommonPrefixes", ()):
                yield self._at(folder["Prefix"].rstrip("/"))
            for one in page.get("Contents", ()):
                if one["Key"] != self._prefix:  # what consoles leave to show an empty folder
                    yield self._at(one["Key"])

    def glob(self, pattern: str) -> Iterator[ObjectPath]:
        """What lies in it under a name that fits; patterns over several folders are not known."""
        if "/" in pattern or "**" in pattern:
            raise NotImplementedError(pattern)
        return (one for one in self.iterdir() if fnmatch.fnmatchcase(one.name, pattern))

    def rglob(self, pattern: str) -> Iterator[ObjectPath]:
        for page in self._pages():
            for one in page.get("Contents", ()):
                found = self._at(one["Key"])
                if fnmatch.fnmatchcase(found.name, pattern):
                    yield found

    def read_bytes(self) -> bytes:
        return self.look().data

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def look(self) -> Sighting:
        """The object with what a conditional write needs to know of it."""
        with told_as_files_do(self, self.bucket):
            got = self._client.get_object(Bucket=self.bucket, Key=self.key)
            data = bytes(got["Body"].read())
        # Both by the store's own clock, so that no other has to be right.
        now = got["ResponseMetadata"]["HTTPHeaders"].get("date")
        moment = parsedate_to_datetime(now) if now else datetime.now(timezone.utc)
        return Sighting(data, got["ETag"], (moment - got["LastModified"]).total_seconds())

    # -- what changes it --------------------------------------------------------------------

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: a folder is there when something is in it."""

    def write_bytes(self, data: bytes) -> int:
        self.put(data)
        return len(data)

    def write_text(self, text: str, encoding: str = "utf-8") -> int:
        return self.write_bytes(text.encode(encoding))

    def touch(self) -> None:
        if not self.is_file():
            self.write_bytes(b"")

    def put(self, data: bytes, *, new: bool = False, in_place_of: str | None = None) -> str:
        """Writes the object, whole; gives the tag of what is there now.

        Args:
            new: only where there is none.
            in_place_of: only in the place of the content with this tag.

        Raises:
            FileExistsError: a condition was not met; what is there stays.
        """
        when = {"IfNoneMatch": "*"} if new else {"IfMatch": in_place_of} if in_place_of else {}
        with told_as_files_do(self, self.bucket):
            put = self._client.put_object(Bucket=self.bucket, Key=self.key, Body=data, **when)
        return str(put["ETag"])

    def copy_to(self, other: ObjectPath, *, of: str, noted: Mapping[str, str]) -> None:
        """Copies the object within the store, whole, if its content has the tag `of`.

        Args:
            noted: is kept with the copy, in place of what was kept with the object.
        """
        with told_as_files_do(self, self.bucket):
            self._client.copy_object(
                Bucket=other.bucket,
                Key=other.key,
                CopySource={"Bucket": self.bucket, "Key": self.key},
                CopySourceIfMatch=of,
                MetadataDirective="REPLACE",
                Metadata=dict(noted),
            )

    def unlink(self, *, missing_ok: bool = False) -> None:
        if not missing_ok:
            self.stat()
        with told_as_files_do(self, self.bucket):
            self._client.delete_object(Bucket=self.bucket, Key=self.key)

    def rmdir(self) -> None:
        """Removes what marks an empty folder, where something does."""
        with told_as_files_do(self, self.bucket):
            self._client.delete_object(Bucket=self.bucket, Key=self._prefix)

    def remove_all(self) -> None:
        """Removes the object and all below it."""
        keys = [one["Key"] for page in self._pages() for one in page.get("Contents", ())]
        for at in range(0, len(keys), _DELETED_AT_ONCE):
            some = [{"Key": key} for key in keys[at : at + _DELETED_AT_ONCE]]
            with told_as_files_do(self, self.bucket):
                told = self._client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": some, "Quiet": True}
                )
            if failed := told.get("Errors"):
                raise StoreError(failed[0]["Message"], self._at(failed[0]["Key"]))
        self.unlink(missing_ok=True)

    def open(self, mode: str = "r", encoding: str = "utf-8") -> Any:
        """The content, to be read."""
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
        with told_as_files_do(self, self.bucket):
            yield from pages
