# QSuite as a container: built from a hash-pinned lock, run as nobody in particular on a read-only root.
#
#     docker build --tag qsuite .                        serves: the API, the engine, streams, jobs in its own processes
#     docker build --tag qsuite --build-arg LOCK=full .  with Dask and trained models as well (extras dask, models)
#
# A release also says what it was made of: --build-arg VERSION=… REVISION=$(git rev-parse HEAD) CREATED=…

ARG PYTHON=python:3.11.13-slim-bookworm

# hadolint ignore=DL3006
FROM ${PYTHON} AS build
# Which requirements/<LOCK>.lock is installed.
ARG LOCK=base
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
RUN python -m venv /opt/qsuite
# The dependencies first: they change less often than the code.
COPY requirements/base.lock requirements/full.lock requirements/
RUN /opt/qsuite/bin/pip install --no-compile --require-hashes --requirement "requirements/${LOCK}.lock"
COPY setup.cfg setup.py pyproject.toml README.md LICENSE ./
COPY config/*.toml config/*.py config/
COPY qsuite qsuite
# Installers have no business in what runs, nor has what only compilers and tests read, nor what speaks to services that
# QSuite does not know (Arrow Flight, S3).
RUN /opt/qsuite/bin/pip install --no-compile --no-deps --no-build-isolation . \
    && /opt/qsuite/bin/pip uninstall --yes setuptools pip \
    && find /opt/qsuite \( -name tests -o -name __pycache__ -o -path "*/pyarrow/include" -o -path "*/numpy/_core/include" \) \
        -type d -prune -exec rm -rf {} + \
    && find /opt/qsuite -type f \( -name "*.pyi" -o -name "*.pyx" -o -name "*.pxd" -o -name "*.a" \
        -o -name "libarrow_*flight.so*" -o -name "_flight.*.so" -o -name "libarrow_s3.so*" -o -name "_s3fs.*.so" \) -delete \
    && /opt/qsuite/bin/python -m compileall -q /opt/qsuite/lib \
    && /opt/qsuite/bin/qsuite --help >/dev/null

# hadolint ignore=DL3006
FROM ${PYTHON}
ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="QSuite" \
      org.opencontainers.image.description="A self-hosted trading platform" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"
RUN groupadd --system --gid 10001 qsuite \
    && useradd --system --uid 10001 --gid qsuite --no-create-home --home-dir /data --shell /usr/sbin/nologin qsuite \
    && install --directory --owner qsuite --group qsuite --mode 0700 /data
COPY --from=build /opt/qsuite /opt/qsuite
ENV PATH=/opt/qsuite/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HEALTH_PATH=/health/ready \
    QSUITE_PROFILE=production \
    QSUITE_PORT=8000 \
    QSUITE_DATA_DIR=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# HEALTH_PATH=/health/live for a process that may stand by: it is well, and not ready.
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"QSUITE_PORT\"]}{os.environ[\"HEALTH_PATH\"]}', timeout=2)"]
ENTRYPOINT ["qsuite"]
CMD ["serve"]
