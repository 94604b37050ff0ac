# The image of every service: generator, Spark master and workers, the layers, and Spark's driver
# and executors on Kubernetes.
#
#   docker build -t medallion-jobs .
#
# The base is pinned by its tag, since that is what can be read; for a build that can be repeated
# to the byte, pin it by digest: --build-arg BASE=python:3.11-slim-bookworm@sha256:…
ARG BASE=python:3.11-slim-bookworm

# -- Packages and jars, each checked against its hash ------------------------------------------
FROM ${BASE} AS packages
WORKDIR /build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements.lock deploy/docker/runtime_lock.py ./
# pyspark comes as source: setuptools is there first, of the locked version, and builds are not
# isolated. The environment has no pip of its own.
RUN python runtime_lock.py requirements.lock --build > build.lock \
 && python runtime_lock.py requirements.lock > runtime.lock \
 && python -m venv --without-pip /opt/venv \
 && python -m pip --python /opt/venv/bin/python install --require-hashes -r build.lock \
 && python -m pip --python /opt/venv/bin/python install --no-build-isolation \
      --require-hashes -r runtime.lock

FROM packages AS jars
# A mirror in Maven's layout; without it, Maven Central.
ARG MEDALLION_MAVEN_URL=
COPY medallion_jobs medallion_jobs
RUN MEDALLION_CACHE=/opt/cache /opt/venv/bin/python -m medallion_jobs.runtime jars --all

# -- What runs ---------------------------------------------------------------------------------
FROM ${BASE}
# Java is taken at the newest version that the distribution has of it, for its security updates.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends openjdk-17-jre-headless \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 medallion \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp medallion \
 && install -d -o 10001 -g 10001 -m 0750 /lake /landing

COPY --from=packages /opt/venv /opt/venv
COPY --from=jars /opt/cache /opt/cache
COPY conf /opt/medallion/conf
# The package has a link to the page of errors.
COPY docs /opt/medallion/docs
COPY deploy/docker/bin /opt/medallion/bin
COPY medallion_jobs /opt/medallion/medallion_jobs
RUN python -m compileall -q /opt/medallion/medallion_jobs

# Nothing is written but below /tmp and the volumes, so the root file system may be read-only.
ENV PATH=/opt/medallion/bin:/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    LC_ALL=C.UTF-8 \
    PYTHONUTF8=1 \
    PYTHONPATH=/opt/medallion \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYSPARK_PYTHON=/opt/venv/bin/python \
    MEDALLION_CACHE=/opt/cache \
    MEDALLION_CONFIG=/opt/medallion/conf/sales.yaml \
    MEDALLION__STORAGE__ROOT=/lake \
    MEDALLION__LANDING__ROOT=/landing \
    HOME=/tmp \
    SPARK_CONF_DIR=/tmp/spark/conf \
    SPARK_LOCAL_DIRS=/tmp/spark/local \
    SPARK_WORKER_DIR=/tmp/spark/work

WORKDIR /opt/medallion
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=20s --start-period=120s --retries=3 CMD ["healthy", "layer", "all"]
ENTRYPOINT ["/opt/medallion/bin/entrypoint"]
CMD ["--help"]
