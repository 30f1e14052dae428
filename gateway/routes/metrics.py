"""`GET /metrics` for Prometheus: the farm's state as SQL has it, the same from every gateway.

Ask one gateway, or aggregate with `max by`, never with `sum`. The one exception is what a gateway alone knows: how many
requests its limit let in uncounted.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Iterator
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gateway.auth import bearer
from gateway.runtime import Runtime, runtime
from models.repositories import counts
from models.repositories.counts import Counts
from models.vocabulary.errors import StateUnavailable, Unauthorized

router = APIRouter(tags=["Health"])

#: However many ask, SQL counts no more often than this.
FRESH_S: Final = 5.0


def families(found: Counts) -> Iterator[Metric]:
    yield from _recordings(found)
    yield from _tenures(found)
    yield from _nodes(found)
    yield from _media(found)
    yield from _tasks(found)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"reelyard_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"reelyard_{name}", text, value=value)


def _recordings(found: Counts) -> Iterator[Metric]:
    recordings = GaugeMetricFamily("reelyard_recordings", "Recordings on record by status.", labels=["status"])
    for status, count in found.recordings.items():
        recordings.add_metric([status.name.lower()], count)
    yield recordings
    yield _gauge("recordings_unplaced", "Recordings that are to run and that no tenure works on.", found.unplaced)
    starts = CounterMetricFamily(
        "reelyard_starts", "Starts by what came of them, once that is known.", labels=["outcome"]
    )
    for outcome in ("recorded", "failed", "empty"):
        starts.add_metric([outcome], getattr(found.starts, outcome))
    yield starts


def _tenures(found: Counts) -> Iterator[Metric]:
    yield _gauge("dispatched", "Tenures that no worker has claimed yet.", found.dispatched.count)
    yield _gauge("dispatch_age_seconds", "How long the oldest of them waits.", found.dispatched.oldest_s)
    yield _counter("unclaimed", "Tenures that no worker claimed in time.", found.unclaimed)
    yield _counter("failovers", "Tenures that went on after one that died.", found.failovers)
    yield _counter("handovers", "Tenures that took over from a node that was to leave.", found.handovers)
    yield _gauge("scheduler_leads", "1: a scheduler holds the leader's lease.", found.led)


def _nodes(found: Counts) -> Iterator[Metric]:
    nodes = GaugeMetricFamily(
        "reelyard_nodes", "Nodes by state; a draining or cordoned one is not open.", labels=["state"]
    )
    up = [node for node in found.nodes if node.up]
    nodes.add_metric(["open"], sum(not (node.draining or node.cordoned) for node in up))
    nodes.add_metric(["draining"], sum(node.draining for node in up))
    nodes.add_metric(["cordoned"], sum(node.cordoned and not node.draining for node in up))
    nodes.add_metric(["gone"], len(found.nodes) - len(up))
    yield nodes
    each = {
        "up": GaugeMetricFamily("reelyard_node_up", "1: it is up; 0: it went without leaving.", labels=["node"]),
        "capacity": GaugeMetricFamily("reelyard_node_capacity_cores", "What it takes.", labels=["node"]),
        "load": GaugeMetricFamily("reelyard_node_load_cores", "What its tenures reserve.", labels=["node"]),
    }
    for node in found.nodes:
        each["up"].add_metric([node.name], node.up)
        each["capacity"].add_metric([node.name], node.capacity / 100)
        each["load"].add_metric([node.name], node.load / 100)
    yield from each.values()


def _media(found: Counts) -> Iterator[Metric]:
    labels = ["state", "cause"]
    holes = GaugeMetricFamily("reelyard_holes", "Holes of recordings on record.", labels=labels)
    lengths = GaugeMetricFamily("reelyard_holes_seconds", "Their length.", labels=labels)
    for hole in found.holes:
        holes.add_metric([hole.state.value, hole.cause], hole.count)
        lengths.add_metric([hole.state.value, hole.cause], hole.length_s)
    yield holes
    yield lengths
    yield _gauge("upload_backlog_segments", "Segments that no store has acknowledged.", found.uploads.segments)
    yield _gauge("upload_backlog_bytes", "Their size.", found.uploads.bytes)
    help_ = "Rows of ended recordings that contradict each other; `reelyard verify` tells more."
    disagreements = GaugeMetricFamily("reelyard_disagreements", help_, labels=["what"])
    for what, count in found.disagreements.items():
        disagreements.add_metric([what], count)
    yield disagreements


def _tasks(found: Counts) -> Iterator[Metric]:
    yield _gauge("notices_pending", "Notices that are not delivered yet.", found.notices.count)
    yield _gauge("notice_age_seconds", "How long the oldest of them waits.", found.notices.oldest_s)
    jobs = GaugeMetricFamily("reelyard_jobs", "Jobs on record by state.", labels=["state"])
    for state, count in found.jobs.items():
        jobs.add_metric([state.value], count)
    yield jobs
    yield _gauge("job_lateness_seconds", "How late the longest due job is.", found.jobs_late_s)


class _Shown(Collector):
    def __init__(self, found: Counts | None, uncounted: int) -> None:
        self._found = found
        self._uncounted = uncounted

    def collect(self) -> Iterator[Metric]:
        yield _gauge(
            "state_up",
            "1: the database answers. Nothing of the farm is shown when it does not.",
            self._found is not None,
        )
        yield _counter(
            "uncounted_requests",
            "Requests that this gateway let in uncounted, since Redis did not answer; sum them over gateways.",
            self._uncounted,
        )
        if self._found is not None:
            yield from families(self._found)


class Metrics:
    """The last count, made anew when it is old; who asks meanwhile waits for the same one."""

    def __init__(self, run: Runtime, now_s: Callable[[], float]) -> None:
        self._run = run
        self._now_s = now_s
        self._counting = asyncio.Lock()
        self._found: Counts | None = None
        self._until_s = float("-inf")

    async def counts(self) -> Counts | None:
        """None: the database does not answer."""
        async with self._counting:
            if self._now_s() >= self._until_s:
                try:
                    self._found = await self._run.sql(self._count)
                except StateUnavailable:
                    self._found = None  # told as `reelyard_state_up 0`
                self._until_s = self._now_s() + FRESH_S
            return self._found

    def _count(self) -> Counts:
        service = self._run.service
        with service.database.unit() as session:
            return counts.take(session, record_days=service.settings.record_days)


def metrics_of(request: Request) -> Metrics:
    found = request.app.state.metrics
    assert isinstance(found, Metrics)
    return found


def allowed(request: Request, run: Annotated[Runtime, Depends(runtime)]) -> None:
    """Raises `Unauthorized` when the operator has set a token and this is not it."""
    token = run.service.settings.metrics_token.get_secret_value()
    if token and not hmac.compare_digest(bearer(request.headers.get("authorization", "")).encode(), token.encode()):
        raise Unauthorized


@router.get(
    "/metrics",
    summary="The farm in numbers, for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, 401: {"description": "REELYARD_METRICS_TOKEN is another"}},
    dependencies=[Depends(allowed)],
)
async def metrics(
    request: Request, run: Annotated[Runtime, Depends(runtime)], shown: Annotated[Metrics, Depends(metrics_of)]
) -> Response:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Shown(await shown.counts(), run.limit.opened))
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), media_type=content_type)
