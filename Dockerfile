# QSuite as a container: built from the hash-pinned lock, run as nobody in particular on a read-only root.
#
#     docker build -t qsuite .
#     docker compose up          with a database, see docker-compose.yml

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv /opt/qsuite
# The dependencies first: they change less often than the code.
COPY requirements/base.lock requirements/
RUN /opt/qsuite/bin/pip install --require-hashes --requirement requirements/base.lock
COPY setup.cfg setup.py pyproject.toml README.md LICENSE ./
COPY config/*.toml config/*.py config/
COPY qsuite qsuite
# Installers have no business in what runs.
RUN /opt/qsuite/bin/pip install --no-deps --no-build-isolation . \
    && /opt/qsuite/bin/pip uninstall --yes setuptools pip \
    && find /opt/qsuite -name tests -type d -prune -exec rm -rf {} +

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="QSuite" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 10001 qsuite \
    && useradd --system --uid 10001 --gid qsuite --no-create-home --home-dir /data --shell /usr/sbin/nologin qsuite \
    && install --directory --owner qsuite --group qsuite --mode 0700 /data
COPY --from=build /opt/qsuite /opt/qsuite
ENV PATH=/opt/qsuite/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    QSUITE_PROFILE=production \
    QSUITE_PORT=8000 \
    QSUITE_DATA_DIR=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"QSUITE_PORT\"]}/health/ready', timeout=2)"]
ENTRYPOINT ["qsuite"]
CMD ["serve"]
