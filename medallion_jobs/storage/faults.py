"""Turns the errors of an object store into those of files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_GONE = {"404", "NoSuchKey", "NotFound"}
_NO_BUCKET = "NoSuchBucket"
_FORBIDDEN = {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
_LOST_RACE = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_SERVERS_FAULT = 500


class StoreError(OSError):
    """The store does not answer, or denies access.

    Attributes:
        passes: whether a retry may succeed.
    """

    def __init__(self, what: str, at: object, *, passes: bool = False) -> None:
        super().__init__(5, what, str(at))
        self.passes = passes


@contextmanager
def as_file_errors(at: object, bucket: str) -> Iterator[None]:
    """Raises the store's errors inside the block as errors of files.

    Raises:
        FileNotFoundError: there is no such object.
        FileExistsError: the condition of a write was not met.
        StoreError: any other error.
    """
    from botocore.exceptions import (  # noqa: PLC0415
        BotoCoreError,
        ClientError,
        ConnectionError,
        HTTPClientError,
    )

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _GONE:
            raise FileNotFoundError(2, "no such object", str(at)) from error
        if code in _LOST_RACE:
            raise FileExistsError(17, "the object exists or has changed", str(at)) from error
        if code in _FORBIDDEN:
            raise StoreError(f"the store denies access ({code})", at) from error
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        what = f"there is no bucket {bucket}" if code == _NO_BUCKET else str(error)
        raise StoreError(what, at, passes=status >= _SERVERS_FAULT) from error
    except BotoCoreError as error:
        unreachable = isinstance(error, HTTPClientError | ConnectionError)
        what = "the store cannot be reached" if unreachable else "the store cannot be used"
        raise StoreError(f"{what}: {error}", at, passes=unreachable) from error
