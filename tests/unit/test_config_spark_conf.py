"""Spark settings: what a config may set, and what is refused by name."""

from pathlib import Path

import pytest

from medallion_jobs.config import ConfigError, load
from medallion_jobs.config.spark_conf import refusal

HOSTILE = {
    "spark.jars": "evil.jar",
    "spark.jars.packages": "g:a:1",
    "spark.jars.repositories": "http://evil",
    "spark.jars.ivySettings": "evil.xml",
    "spark.plugins": "evil.Plugin",
    "spark.executor.plugins": "evil.Plugin",
    "spark.driver.extraJavaOptions": "-javaagent:evil.jar",
    "spark.executor.extraJavaOptions": "-javaagent:evil.jar",
    "spark.executor.defaultJavaOptions": "-javaagent:evil.jar",
    "spark.yarn.am.extraJavaOptions": "-javaagent:evil.jar",
    "spark.driver.extraClassPath": "evil",
    "spark.executor.extraClassPath": "evil",
    "spark.executor.extraLibraryPath": "evil",
    "spark.executor.userClassPathFirst": "true",
    "spark.executor.resource.gpu.discoveryScript": "evil.sh",
    "spark.extraListeners": "evil.Listener",
    "spark.sql.extensions": "evil.Extension",
    "spark.sql.catalog.spark_catalog": "evil.Catalog",
    "spark.sql.queryExecutionListeners": "evil.Listener",
    "spark.sql.streaming.streamingQueryListeners": "evil.Listener",
    "spark.sql.streaming.checkpointFileManagerClass": "evil.Manager",
    "spark.sql.streaming.stateStore.providerClass": "evil.Provider",
    "spark.sql.sources.commitProtocolClass": "evil.Protocol",
    "spark.sql.parquet.output.committer.class": "evil.Committer",
    "spark.sql.cache.serializer": "evil.Serializer",
    "spark.sql.hive.metastore.jars": "evil",
    "spark.serializer": "evil.Serializer",
    "spark.hadoop.fs.s3a.impl": "evil.FileSystem",
    "spark.hadoop.fs.s3a.s3.client.factory.impl": "evil.Factory",
    "spark.hadoop.fs.file.impl": "evil.FileSystem",
    "spark.hadoop.fs.s3a.custom.signers": "x:evil.Signer",
    "spark.hadoop.fs.s3a.aws.credentials.provider": "evil.Provider",
    "spark.delta.logStore.class": "evil.LogStore",
    "spark.delta.logStore.s3a.impl": "evil.LogStore",
    "spark.yarn.keytab": "someone.keytab",
    "spark.yarn.jars": "evil.jar",
    "spark.yarn.archive": "evil.zip",
    "spark.yarn.dist.files": "secrets.txt",
    "spark.kubernetes.driver.podTemplateFile": "evil.yaml",
    "spark.kubernetes.file.upload.path": "s3a://evil",
    "spark.python.daemon.module": "evil",
    "spark.pyspark.python": "evil",
    "spark.submit.pyFiles": "evil.py",
    "spark.executorEnv.LD_PRELOAD": "evil.so",
    "spark.master.rest.enabled": "true",
    "spark.ui.killEnabled": "true",
    "spark.redaction.regex": "nothing",
    "spark.network.crypto.config.random.classes": "evil.Random",
    "spark.network.crypto.keyFactoryAlgorithm": "x",
    "spark.io.encryption.commons.config.cipher.classes": "evil.Cipher",
    "spark.authenticate.enableSaslEncryption": "true",
    "spark.sql.redaction.string.regex": "nothing",
    "hadoop.security.authentication": "simple",
    "spark.sql.x\nspark.jars": "evil.jar",
    "": "x",
}
HARMFUL = {
    "spark.sql.ansi.enabled": "false",
    "spark.sql.session.timeZone": "Europe/Berlin",
    "spark.sql.files.ignoreMissingFiles": "true",
    "spark.sql.files.ignoreCorruptFiles": "true",
    "spark.sql.sources.x.ignoreMissingFiles": "true",
    "spark.databricks.delta.streaming.unsafeReadOnIncompatibleColumnMappingSchemaChanges"
    ".enabled": "true",
    "spark.sql.streaming.checkpointLocation": "cp",
    "spark.sql.streaming.stopActiveRunOnRestart": "true",
    "spark.sql.streaming.forceDeleteTempCheckpointLocation": "true",
    "spark.sql.streaming.checkpoint.verifyMetadataExists.enabled": "false",
    "spark.sql.streaming.schemaInference": "true",
    "spark.sql.streaming.fileSource.schema.forceNullable": "false",
    "spark.sql.caseSensitive": "true",
    "spark.sql.variable.substitute": "true",
    "spark.sql.shuffle.partitions": "4",
    "spark.databricks.delta.schema.autoMerge.enabled": "true",
    "spark.databricks.delta.streaming.offsetValidation.enabled": "false",
    "spark.databricks.delta.commitValidation.enabled": "false",
    "spark.databricks.delta.retentionDurationCheck.enabled": "false",
    "spark.databricks.delta.properties.defaults.setTransactionRetentionDuration": "1 day",
}
HARMLESS = {
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.streaming.stateStore.providerClass": (
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
    ),
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.executor.memory": "4g",
    "spark.executor.instances": "2",
    "spark.driver.memory": "2g",
    "spark.driver.memoryOverhead": "512m",
    "spark.hadoop.fs.s3a.endpoint": "http://minio:9000",
    "spark.hadoop.fs.s3a.path.style.access": "true",
    "spark.hadoop.fs.s3a.aws.credentials.provider": (
        "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider"
    ),
    "spark.kubernetes.namespace": "data",
    "spark.kubernetes.node.selector.kubernetes.io/arch": "amd64",
    "spark.yarn.queue": "etl",
    "spark.authenticate": "false",
    "spark.authenticate.secret": "of the cluster",
    "spark.authenticate.secret.file": "/run/secrets/spark",
    "spark.network.crypto.enabled": "false",
    "spark.network.crypto.cipher": "AES/GCM/NoPadding",
    "spark.io.encryption.enabled": "true",
}


@pytest.mark.parametrize(("key", "value"), (HOSTILE | HARMFUL).items())
def test_a_setting_that_could_do_harm_is_refused(key: str, value: str) -> None:
    reason = refusal(key, value)
    assert reason
    assert value not in reason or len(value) < 6


@pytest.mark.parametrize(("key", "value"), HARMLESS.items())
def test_a_harmless_setting_may_be_held(key: str, value: str) -> None:
    assert refusal(key, value) is None


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("spark.master", "write it as spark.master in the config"),
        ("spark.app.name", "named after the pipeline"),
        ("spark.jars.packages", "load code"),
        ("spark.ui.port", "not a setting that a config may set"),
    ],
)
def test_a_refusal_gives_its_own_reason(key: str, reason: str) -> None:
    assert reason in (refusal(key, "x") or "")


def test_a_refused_setting_is_told_by_name_with_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    lines = [f"    {key}: {value!r}" for key, value in HARMFUL.items()]
    file.write_text("pipeline: x\nspark:\n  conf:\n" + "\n".join(lines) + "\n")
    with pytest.raises(ConfigError) as raised:
        load(file, environ={})
    told = [(problem.path, problem.origin.line) for problem in raised.value.problems]
    assert told == [(f"spark.conf.{key}", at) for at, key in enumerate(HARMFUL, start=4)]


@pytest.mark.parametrize(
    ("written", "held"), [("true", "true"), ("4", "4"), ("0.5", "0.5"), ("'4'", "4")]
)
def test_numbers_and_booleans_are_written_as_spark_reads_them(
    tmp_path: Path, written: str, held: str
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(f"pipeline: x\nspark: {{conf: {{spark.sql.x: {written}}}}}\n")
    assert load(file, environ={}).pipeline.spark.conf == {"spark.sql.x": held}
