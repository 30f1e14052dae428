# syntax=docker/dockerfile:1
# One image for every process of the farm; docker-compose.yml says which command is which.
FROM python:3.11-slim-bookworm AS build
ENV UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
RUN pip install --no-cache-dir "uv>=0.9,<1"
WORKDIR /srv/reelyard
# The dependencies first, and alone: they change seldom.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --no-install-project
COPY . .
RUN uv sync --frozen --no-dev

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="reelyard" \
      org.opencontainers.image.description="A self-hosted recording farm for real-time channels" \
      org.opencontainers.image.licenses="Apache-2.0 AND GPL-2.0-or-later" \
      org.reelyard.licenses.note="The source is Apache-2.0; PyAV's wheel carries x264 (GPL), so this image as a whole is a GPL combination. H.264 and AAC are covered by patent pools."
RUN useradd --system --uid 10001 --create-home reelyard \
 && install -d -o reelyard -g reelyard -m 0700 /var/lib/reelyard/spool /var/lib/reelyard/flower
COPY --from=build /srv/reelyard /srv/reelyard
WORKDIR /srv/reelyard
ENV PATH=/srv/reelyard/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    REELYARD_SPOOL=/var/lib/reelyard/spool
USER reelyard
STOPSIGNAL SIGTERM
CMD ["uvicorn", "gateway.app:app", "--host", "0.0.0.0", "--port", "8080"]
