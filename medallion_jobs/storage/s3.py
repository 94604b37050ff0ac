"""How an S3 store is reached: by Python, by delta-rs, by DuckDB and by Spark, all the same way.

Endpoint, region and keys come from the standard AWS environment (variables, profiles, roles).
Spark's own settings in a config, `spark.hadoop.fs.s3a.*`, come first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from medallion_jobs import masking

_S3A = "spark.hadoop.fs.s3a."
_AWS = "amazonaws.com"
# The connection alone: a batch that waits for a store should rather fail and be redone.
_PATIENCE = {"connect_timeout": 5, "read_timeout": 60}
# Keys in the session's settings first, then the AWS chain: the environment, a web identity,
# a profile, the container's or the machine's role.
_PROVIDERS = ",".join(
    (
        "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider",
        "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
        "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider",
    )
)


@dataclass(frozen=True)
class S3:
    """A store, as far as a config names it; the AWS environment says the rest."""

    endpoint: str | None = None
    region: str | None = None
    path_style: bool | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, spark_conf: Mapping[str, str]) -> S3:
        """The store that Spark's settings name."""

        def said(key: str) -> str | None:
            return spark_conf.get(_S3A + key) or None

        path_style = said("path.style.access")
        return cls(
            endpoint=_with_scheme(said("endpoint"), said("connection.ssl.enabled")),
            region=said("endpoint.region"),
            path_style=None if path_style is None else path_style.lower() == "true",
            access_key=said("access.key"),
            secret_key=said("secret.key"),
            session_token=said("session.token"),
        )

    @property
    def client(self) -> Any:
        """A botocore client; one for each store."""
        return _session_and_client(self)[1]

    @property
    def spark_conf(self) -> Mapping[str, str]:
        """Spark's settings that name this store, without any key of it."""
        told = {
            f"{_S3A}aws.credentials.provider": _PROVIDERS,
            f"{_S3A}endpoint.region": self._region,
        }
        if endpoint := self._own_endpoint:
            told |= {
                f"{_S3A}endpoint": endpoint,
                f"{_S3A}path.style.access": str(self._is_path_style).lower(),
                f"{_S3A}connection.ssl.enabled": str(not self._is_plain).lower(),
            }
        return told

    @property
    def delta_options(self) -> dict[str, str]:
        """The options by which delta-rs opens tables of this store."""
        told = {
            "region": self._region,
            "conditional_put": "etag",
            **self._keys("access_key_id", "secret_access_key", "session_token"),
        }
        if endpoint := self._own_endpoint:
            told |= {
                "endpoint_url": endpoint,
                "allow_http": str(self._is_plain).lower(),
                "virtual_hosted_style_request": str(not self._is_path_style).lower(),
            }
        return told

    @property
    def duckdb_secret(self) -> Mapping[str, str]:
        """The parts of a DuckDB secret of type s3."""
        told = {"REGION": self._region, **self._keys("KEY_ID", "SECRET", "SESSION_TOKEN")}
        if endpoint := self._own_endpoint:
            told |= {
                "ENDPOINT": urlsplit(endpoint).netloc,
                "URL_STYLE": "path" if self._is_path_style else "vhost",
                "USE_SSL": str(not self._is_plain).lower(),
            }
        return told

    def _keys(self, *names: str) -> dict[str, str]:
        """The keys of this moment, by the names that an engine has for them."""
        found = _session_and_client(self)[0].get_credentials()
        if found is None:
            return {}
        now = found.get_frozen_credentials()
        for secret in (now.secret_key, now.token):
            masking.remember(secret or "")
        keys = zip(names, (now.access_key, now.secret_key, now.token), strict=True)
        return {name: key for name, key in keys if key}

    @property
    def _region(self) -> str:
        return str(self.client.meta.region_name)

    @property
    def _own_endpoint(self) -> str | None:
        """The endpoint of a store that is not Amazon's."""
        url = str(self.client.meta.endpoint_url)
        host = urlsplit(url).hostname or ""
        return None if host == _AWS or host.endswith(f".{_AWS}") else url

    @property
    def _is_plain(self) -> bool:
        return (self._own_endpoint or "").startswith("http:")

    @property
    def _is_path_style(self) -> bool:
        # Few stores of other makers answer under a host name for each bucket.
        return bool(self._own_endpoint) if self.path_style is None else self.path_style


@lru_cache(maxsize=8)
def _session_and_client(store: S3) -> tuple[Any, Any]:
    # Half a second to load, and a lake on this machine needs none of it.
    import botocore.session  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    session = botocore.session.get_session()
    if store.access_key and store.secret_key:
        session.set_credentials(store.access_key, store.secret_key, store.session_token)
    style = {None: "auto", True: "path", False: "virtual"}[store.path_style]
    client = session.create_client(
        "s3",
        endpoint_url=store.endpoint,
        region_name=store.region or _region(session),
        config=Config(
            s3={"addressing_style": style},
            retries={"mode": "standard", "max_attempts": 5},
            **_PATIENCE,
        ),
    )
    return session, client


def _region(session: Any) -> str:
    # The name that all other SDKs of AWS read; botocore reads AWS_DEFAULT_REGION alone.
    named = os.environ.get("AWS_REGION") or session.get_config_variable("region")
    return named or "us-east-1"


def _with_scheme(endpoint: str | None, ssl: str | None) -> str | None:
    """An endpoint as a URL; Hadoop takes it without a scheme too."""
    if endpoint is None or "://" in endpoint:
        return endpoint
    return f"{'http' if ssl == 'false' else 'https'}://{endpoint}"
