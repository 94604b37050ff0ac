"""A store that speaks S3, as a process of its own on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from medallion_jobs.storage import S3, ObjectPath

KEY, SECRET = "access-key-of-tests", "secret-key-of-tests"


@dataclass(frozen=True)
class Store:
    """A running store; its bucket is called `lake`."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """What a process finds the store by: the standard AWS variables."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_REGION": "eu-west-3",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def s3(self) -> S3:
        return S3(self.endpoint, "eu-west-3", access_key=KEY, secret_key=SECRET)

    def at(self, key: str) -> ObjectPath:
        return ObjectPath("lake", key, self.s3)


@contextmanager
def running() -> Iterator[Store]:
    """A store of its own, empty but for its bucket."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet, env=dict(os.environ)) as server:
        try:
            store = Store(f"http://127.0.0.1:{port}")
            _wait_for(port, server)
            store.s3.client.create_bucket(
                Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-west-3"}
            )
            yield store
        finally:
            server.kill()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while True:
        assert server.poll() is None, "the store ended"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline, "the store does not answer"
            time.sleep(0.1)
        else:
            return
