"""Access to an S3 store, configured alike for Python, delta-rs, DuckDB and Spark.

Endpoint, region and keys come from the standard AWS environment (variables, profiles, roles).
Spark's settings in a config, `spark.hadoop.fs.s3a.*`, take precedence.
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
# Seconds. If the store hangs, it is better to fail the batch and run it again than to wait.
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
    """The settings of a store in a config; unset ones come from the AWS environment."""

    endpoint: str | None = None
    region: str | None = None
    path_style: bool | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, spark_conf: Mapping[str, str]) -> S3:
        """The store of Spark's settings."""

        def setting(key: str) -> str | None:
            return spark_conf.get(_S3A + key) or None

        path_style = setting("path.style.access")
        return cls(
            endpoint=_with_scheme(setting("endpoint"), setting("connection.ssl.enabled")),
            region=setting("endpoint.region"),
            path_style=None if path_style is None else path_style.lower() == "true",
            access_key=setting("access.key"),
            secret_key=setting("secret.key"),
            session_token=setting("session.token"),
        )

    @property
    def client(self) -> Any:
        """A botocore client; one for each store."""
        return _session_and_client(self)[1]

    @property
    def spark_conf(self) -> Mapping[str, str]:
        """Spark's settings for this store, without keys."""
        settings = {
            f"{_S3A}aws.credentials.provider": _PROVIDERS,
            f"{_S3A}endpoint.region": self._region,
        }
        if endpoint := self._own_endpoint:
            settings |= {
                f"{_S3A}endpoint": endpoint,
                f"{_S3A}path.style.access": str(self._is_path_style).lower(),
                f"{_S3A}connection.ssl.enabled": str(not self._is_plain).lower(),
            }
        return settings

    @property
    def delta_options(self) -> dict[str, str]:
        """The storage options of delta-rs for this store."""
        options = {
            "region": self._region,
            "conditional_put": "etag",
            **self._keys("access_key_id", "secret_access_key", "session_token"),
        }
        if endpoint := self._own_endpoint:
            options |= {
                "endpoint_url": endpoint,
                "allow_http": str(self._is_plain).lower(),
                "virtual_hosted_style_request": str(not self._is_path_style).lower(),
            }
        return options

    @property
    def duckdb_secret(self) -> Mapping[str, str]:
        """The options of a DuckDB secret of type s3."""
        options = {"REGION": self._region, **self._keys("KEY_ID", "SECRET", "SESSION_TOKEN")}
        if endpoint := self._own_endpoint:
            options |= {
                "ENDPOINT": urlsplit(endpoint).netloc,
                "URL_STYLE": "path" if self._is_path_style else "vhost",
                "USE_SSL": str(not self._is_plain).lower(),
            }
        return options

    def _keys(self, *names: str) -> dict[str, str]:
        """The current access key, secret key and session token, under the given names."""
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
        """The endpoint of the store; None for Amazon's own."""
        url = str(self.client.meta.endpoint_url)
        host = urlsplit(url).hostname or ""
        return None if host == _AWS or host.endswith(f".{_AWS}") else url

    @property
    def _is_plain(self) -> bool:
        return (self._own_endpoint or "").startswith("http:")

    @property
    def _is_path_style(self) -> bool:
        # Few other stores support a host name for each bucket.
        return bool(self._own_endpoint) if self.path_style is None else self.path_style


@lru_cache(maxsize=8)
def _session_and_client(store: S3) -> tuple[Any, Any]:
    # Imported late: it takes half a second, and a local lake does not need it.
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
    # All other AWS SDKs read AWS_REGION; botocore reads only AWS_DEFAULT_REGION.
    named = os.environ.get("AWS_REGION") or session.get_config_variable("region")
    return named or "us-east-1"


def _with_scheme(endpoint: str | None, ssl: str | None) -> str | None:
    """An endpoint as a URL; Hadoop also accepts it without a scheme."""
    if endpoint is None or "://" in endpoint:
        return endpoint
    return f"{'http' if ssl == 'false' else 'https'}://{endpoint}"
