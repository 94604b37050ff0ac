"""The jars that Spark itself lacks, each with its SHA-256."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version


@dataclass(frozen=True)
class Jar:
    """A jar: its Maven coordinates and its expected SHA-256."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        """The jar's file name."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> str:
        """The path in a Maven repository."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file}"


# The version of Spark that jars beside Delta's are for.
NEWEST = "4.2"


def _installed() -> str:
    try:
        return ".".join(version("pyspark").split(".")[:2])
    except PackageNotFoundError:  # the set-up asks before it installs the locked one
        return NEWEST


# The version of the installed pyspark.
SPARK = _installed()

# Delta for each version of Spark, and its storage layer. The other 31 dependencies in its pom come
# with Spark, or are for features that we do not use.
DELTA_FOR = {
    "4.0": "49e899667168b9412f83cbe894ce264107d7b896d6c5e12edca4e216845c1104",
    "4.1": "75a9400986853c061f5109f012547de2545a5759e5e752e5ef633dabe16a4f10",
    "4.2": "27d4fd8b1f879535c573ed1c718177d6a27f24d3e626ba02e216369725721ead",
}
DELTA = (
    Jar(
        group="io.delta",
        artifact=f"delta-spark_{SPARK}_2.13",
        version="4.4.0",
        sha256=DELTA_FOR.get(SPARK, ""),
    ),
    Jar(
        group="io.delta",
        artifact="delta-storage",
        version="4.4.0",
        sha256="c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc",
    ),
)
# PostgreSQL's JDBC driver; fetched when a table is loaded into a PostgreSQL database.
POSTGRESQL = Jar(
    group="org.postgresql",
    artifact="postgresql",
    version="42.7.14",
    sha256="73914527305a40cce504b0d3d90b23caf565136912d607ae8ae7c5895512332c",
)
# S3 access for Hadoop 3.5, the version of Spark 4.2 alone: `hadoop-aws` and the parts of the AWS
# SDK that it calls. The SDK bundle in its pom is forty times as large. HTTP client, codecs, logging
# and Netty come with Spark.
_AWS_SDK = "2.35.4"
_AWS_SDK_PARTS = {
    "annotations": "6f36bd87155d1dd85d6efbdd29e532e3759a022211feb71affebee1aa34f04b8",
    "apache-client": "6eade21b482724ed0a4613eaa95d20e47e7a81304bd28538ac427fece94a7740",
    "arns": "c63cc29f76a8527e9e10b621703163df541dc5cb315508dc2898518602c75380",
    "auth": "6b601323004833fb4a857ffc95db4795e0e6320eb93e64b1246c655c9ff04994",
    "aws-core": "fdb5fc8f1a48d97fa7d04d3460fb42f6973c7b1bbe1b9d317871ef0162bcb623",
    "aws-query-protocol": "9b4cf9b78977cc9f5b4ceae9c435dedbde6a055a0f8d9e053eaca945715e2a9f",
    "aws-xml-protocol": "4f59176da2522c357b1993e4a890fde529f12f365795ef86269bde4a3984cd0d",
    "checksums": "94464af4374d08ecf33ca06ed4d03e1615529e547726e26b56abacefbeee7948",
    "checksums-spi": "88b5af85ac2d3c862be8856be4e683ab31932e4a5a3c1c45af864d2671ac7cec",
    "crt-core": "2c6aaa17bf9ccbb9d962dded4351e73decb197e3c5519970e0dae17e05d3df62",
    "endpoints-spi": "ef02441bda916959b8341290b49c68cc35538e1ad6f8629b75d8334dc6653e00",
    "http-auth": "3ec933a06e751a05e195eb3589209e23c44e1897263b6fcae34ef4cc63cd4491",
    "http-auth-aws": "c4acb92fdec90bfd9b67bfab8e41b69cd152c03cacc10281a8ab464791856e01",
    "http-auth-aws-eventstream": "709107552f302be3fa9e05969a3779f5c0f07fb809e6fa1fa571a6f0c61326dd",
    "http-auth-spi": "4495463406bb98eb136f2c3f3604ed5f08ec9974ebc3f34f2121b20679f61d5c",
    "http-client-spi": "728be89b2a07b595edb0adee3a2cbbbdd4cb1f4caddde0d08c3979fe2620dedb",
    "identity-spi": "188d73db7d4e2361654bc3c5a1b3eaeb445d0500fb012cc46c5d67975adf97bf",
    "json-utils": "80d67a6bb3e7eb49c7d4b6e4ba4c1463ed7da0192b795158328602dc131c5ecc",
    "metrics-spi": "c2a4ee90a21081317e2e6eba0c414d05d3d518aed2f86b1c1710a7367b450487",
    "netty-nio-client": "b82f8b33e5c85273a47da45ede884d7ccb31c9c2f69e6910a76c5c48fa1275dc",
    "profiles": "0f4ef7ca72ccd80dd49ebeaf7f3ce60a7d7a00da59a91aeeae6e91052bbacbd8",
    "protocol-core": "f2532eca6ba2142fe4821d5decb03c83a3e15dc8bfae2240e7f2efa75f9868b5",
    "regions": "77eae87b34ce96ecdf916a9bc06684dbeafcb6d38ef0513285fa5d5d6d41f5ca",
    "retries": "f99fb2f8c66d7e859955b3542d3af8f9de8f23a21d5e3250f0f2c5f18487e469",
    "retries-spi": "668638751d059c527ddd41ffa4dcebe36a7c14860ed56776df09b861c14dc7dd",
    "s3": "f23532c5223be9b0bfec0d72837ed09ed34dbdf8022818ba145b20076a78b4bc",
    "s3-transfer-manager": "0eec78870b3d0abc509a847072cf963cb2ae6e360dc6161a9449b3398c470476",
    "sdk-core": "fa559a4ce598852f3519c8f3b36250f583b0858a7611eedc4a81997778c617f4",
    "sts": "8d0f7816d3f96e3f00249f5d054d926e939a104bcf9ef57676ee0b16c59684d2",
    "third-party-jackson-core": "32f4252c6c2df8f3a4aff885e6dc77024ad6b4cb48455d07b461ec30c41643ea",
    "utils": "642aeef536a071668f0b772f05f9d21573abf6955e7b6fb5fdb893760cca10e8",
    "utils-lite": "e004806def5e22ec98edc48a133ff3317166255e1ba29d93d129e9fdfa64a7be",
}
S3A = (
    Jar(
        group="org.apache.hadoop",
        artifact="hadoop-aws",
        version="3.5.0",
        sha256="66bd9eefb938b1a1657487324b63c13df2d8b17164a1dd24e0ef37b905bc5baa",
    ),
    Jar(
        group="software.amazon.s3.analyticsaccelerator",
        artifact="analyticsaccelerator-s3",
        version="1.3.1",
        sha256="4959a9747cbb479c73c3ffbcd479bee5b014f8b2880994585a8693fb9d24675e",
    ),
    Jar(
        group="org.reactivestreams",
        artifact="reactive-streams",
        version="1.0.4",
        sha256="f75ca597789b3dac58f61857b9ac2e1034a68fa672db35055a8fb4509e325f28",
    ),
    Jar(
        group="software.amazon.eventstream",
        artifact="eventstream",
        version="1.0.1",
        sha256="0c37d8e696117f02c302191b8110b0d0eb20fa412fce34c3a269ec73c16ce822",
    ),
    *(
        Jar("software.amazon.awssdk", artifact, _AWS_SDK, sha256)
        for artifact, sha256 in _AWS_SDK_PARTS.items()
    ),
)


# For Spark 4.2 alone: Spark's source of Kafka topics, its client, and what decodes Avro messages.
# Other dependencies in their poms come with Spark.
KAFKA = (
    Jar(
        group="org.apache.spark",
        artifact="spark-sql-kafka-0-10_2.13",
        version="4.2.0",
        sha256="64539c45e5d39f7ddb747312c239f38f5208d08c1a0ddf7d70beb2fbd9373705",
    ),
    Jar(
        group="org.apache.spark",
        artifact="spark-token-provider-kafka-0-10_2.13",
        version="4.2.0",
        sha256="641c7947afc8aa1189e433b7c2d305293993c8691bc1c2062d6d4f513b12518c",
    ),
    Jar(
        group="org.apache.kafka",
        artifact="kafka-clients",
        version="3.9.2",
        sha256="014b4ef36884478a932641818b080c36a8f8e2e92dc771e800c9d2694f4f83d8",
    ),
    Jar(
        group="org.apache.commons",
        artifact="commons-pool2",
        version="2.13.1",
        sha256="f77a5060d6936a9144023584232f9de3f2248f1abfe156e9d31795f18770674f",
    ),
    Jar(
        group="org.apache.spark",
        artifact="spark-avro_2.13",
        version="4.2.0",
        sha256="4c186cedc03cbe4ee356a94b32232b347ef48611c3209400b3a77e4fe4abff4f",
    ),
)


def needed(*, objects: bool, kafka: bool) -> tuple[Jar, ...]:
    """The jars of a session.

    Args:
        objects: whether it uses an object store.
        kafka: whether it reads Kafka topics.
    """
    return (*DELTA, *(S3A if objects else ()), *(KAFKA if kafka else ()))


# All jars, for a machine that will have no network.
ALL = (*DELTA, POSTGRESQL, *((*S3A, *KAFKA) if SPARK == NEWEST else ()))
