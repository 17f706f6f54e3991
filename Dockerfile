# The image of every service of docker-compose.yml but PostgreSQL.
#   docker build -t unet-search:cpu .
#   docker build -t unet-search:gpu --build-arg EXTRA=gpu .     TensorFlow with CUDA libraries

FROM debian:bookworm-slim AS python
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 tini \
    && rm -rf /var/lib/apt/lists/*

# What the lock file names, and nothing else of what it takes to install it.
FROM python AS dependencies
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
ARG EXTRA=cpu
COPY requirements/${EXTRA}.txt /tmp/requirements.txt
# Left out: headers to compile against TensorFlow and Ray, and Ray's interfaces for Java and C++.
RUN python3 -m venv /opt/unet-search \
    && /opt/unet-search/bin/pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: -r /tmp/requirements.txt \
    && cd /opt/unet-search/lib/python3*/site-packages \
    && rm -rf tensorflow/include ray/jars ray/cpp

FROM dependencies AS project
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY search search
COPY storage storage
COPY trainer trainer
RUN /opt/unet-search/bin/pip install --no-deps --no-build-isolation --no-cache-dir \
        --disable-pip-version-check --prefix /opt/project .

# Nothing that installs packages is left where other people's data is worked on.
FROM dependencies AS packages
RUN /opt/unet-search/bin/pip uninstall --yes --disable-pip-version-check wheel setuptools pip \
    && rm -rf /opt/unet-search/bin/pip* /opt/unet-search/lib/python3*/site-packages/distutils-precedence.pth

FROM python
ENV PATH=/opt/unet-search/bin:$PATH \
    HOME=/tmp \
    USER=searcher \
    PYTHONUNBUFFERED=1 \
    RAY_USAGE_STATS_ENABLED=0
RUN useradd --uid 1000 --no-create-home --shell /usr/sbin/nologin searcher
COPY --from=packages /opt/unet-search /opt/unet-search
COPY --from=project /opt/project /opt/unet-search
WORKDIR /app
COPY docker/bin /usr/local/bin
COPY configs configs
# What `git describe --always --dirty` says, to be kept with every study.
ARG REVISION=
ENV UNET_SEARCH_REVISION=$REVISION
# Signals reach the service, and the processes that Ray leaves behind are collected.
ENTRYPOINT ["tini", "--"]
CMD ["unet-search", "--help"]
USER searcher
