# One image for every process; which one is the command's choice (docker-compose.yml, Procfile).
FROM python:3.11-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/webhookd
WORKDIR /src

# The lock first: as long as it is the same, this layer is too.
COPY requirements.lock ./
RUN /opt/webhookd/bin/pip install --no-deps --require-hashes -r requirements.lock

# setuptools is in the lock, so the build fetches nothing.
COPY . .
RUN /opt/webhookd/bin/pip install --no-deps --no-build-isolation .


FROM python:3.11-slim-bookworm

RUN useradd --system --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin webhookd
COPY --from=build /opt/webhookd /opt/webhookd
ENV PATH=/opt/webhookd/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

# Writable for nobody else; processes keep their state in Kafka, Redis and Postgres.
WORKDIR /tmp
USER 10001

# Signals go to webhookd itself, which drains; health checks are docker-compose.yml's, one for each process.
STOPSIGNAL SIGTERM
CMD ["webhookd", "--help"]
