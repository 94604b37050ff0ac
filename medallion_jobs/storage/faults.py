"""What a store says when it does not do what it was asked, as files would say it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_GONE = {"404", "NoSuchKey", "NotFound"}
_NO_BUCKET = "NoSuchBucket"
_FORBIDDEN = {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
_LOST_RACE = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_SERVERS_FAULT = 500


class StoreError(OSError):
    """A store that does not answer, or does not let us in.

    Attributes:
        passes: another try may well succeed.
    """

    def __init__(self, what: str, at: object, *, passes: bool = False) -> None:
        super().__init__(5, what, str(at))
        self.passes = passes


@contextmanager
def told_as_files_do(at: object, bucket: str) -> Iterator[None]:
    """The store's errors as those that files have."""
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
            raise FileExistsError(17, "there is another already", str(at)) from error
        if code in _FORBIDDEN:
            raise StoreError(f"the store does not allow it ({code})", at) from error
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        what = f"there is no bucket {bucket}" if code == _NO_BUCKET else str(error)
        raise StoreError(what, at, passes=status >= _SERVERS_FAULT) from error
    except BotoCoreError as error:
        away = isinstance(error, HTTPClientError | ConnectionError)
        what = "the store cannot be reached" if away else "the store cannot be asked"
        raise StoreError(f"{what}: {error}", at, passes=away) from error
