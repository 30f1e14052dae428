"""docker-compose.yml, judged without an engine: by the schema, by its structure, and by starting its very commands.

compose-spec.json is the Compose Specification's schema (github.com/compose-spec/compose-spec, Apache-2.0).
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own, for one call

from farm import flower, slots
from models import secrets
from models.settings import Settings
from models.vocabulary.messages import CHECKS_QUEUE, JOBS_QUEUE
from tests.servers import ServerProcess, free_ports

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"] == "reelyard"]
SPOOLS = "/var/lib/reelyard/spool"
#: On loaded cores Python alone takes seconds to import what we stand on.
UP_WITHIN_S = 90.0


def test_the_file_is_valid_by_the_specifications_own_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    errors = [f"{list(e.path)}: {e.message}" for e in jsonschema.Draft7Validator(schema).iter_errors(COMPOSE)]
    assert errors == []
    broken = COMPOSE | {"services": {"one": {"image": "x", "comand": []}}}
    assert list(jsonschema.Draft7Validator(schema).iter_errors(broken))


def test_every_process_of_the_farm_has_its_service() -> None:
    ours = {"migrate", "gateway", "scheduler", "tasks", "worker", "ingest", "flower"}
    assert set(OURS) == ours
    assert set(SERVICES) == ours | {"redis", "postgres", "s3"}


@pytest.mark.parametrize("name", OURS)
def test_every_process_of_ours_has_time_to_end_properly(name: str) -> None:
    assert SERVICES[name]["stop_grace_period"] == "120s"


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_one_that_the_farm_reads(name: str) -> None:
    known = {f"REELYARD_{setting.upper()}" for setting in Settings.model_fields} | {"FLOWER_BASIC_AUTH"}
    assert set(SERVICES[name]["environment"]) <= known


def test_a_worker_can_be_scaled_and_keeps_its_spools_in_a_named_volume() -> None:
    worker = SERVICES["worker"]
    assert worker["command"] == ["reelyard", "node"]
    assert worker["volumes"] == [f"spools:{SPOOLS}"]
    for name in ("worker", "tasks", "scheduler"):
        assert not {"container_name", "ports", "hostname"} & set(SERVICES[name]), name


def test_the_image_is_not_roots_and_owns_what_is_mounted() -> None:
    lines = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER reelyard$", lines, re.MULTILINE)
    mounted = {v.split(":")[1] for name in OURS for v in SERVICES[name].get("volumes", [])}
    [made] = re.findall(r"install -d -o reelyard .*", lines)
    assert mounted <= set(made.split())
    assert not any("user" in SERVICES[name] for name in OURS)


def test_the_tasks_worker_reads_the_queues_of_jobs_and_reaches_the_gateway() -> None:
    tasks = SERVICES["tasks"]
    assert tasks["command"][tasks["command"].index("-Q") + 1] == f"{JOBS_QUEUE},{CHECKS_QUEUE}"
    assert tasks["environment"]["REELYARD_GATEWAY_URL"] == "http://gateway:8080"


def test_flower_is_started_as_the_embedded_farm_starts_it_and_knows_no_secret_of_the_farm() -> None:
    service = SERVICES["flower"]
    memory = "/var/lib/reelyard/flower/memory"
    assert service["command"][4:] == flower.options(address="0.0.0.0", port=5555, memory=memory)
    assert set(service["environment"]) == {"REELYARD_BROKER_URL", "FLOWER_BASIC_AUTH"}
    assert service["ports"] == ["127.0.0.1:5555:5555"]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"migrate", "scheduler", "worker"}))
def test_a_service_that_can_be_asked_says_whether_it_is_well(name: str) -> None:
    assert {"test", "interval", "timeout"} <= set(SERVICES[name]["healthcheck"])


def test_the_ingest_has_no_way_to_state_or_store() -> None:
    assert not {"REELYARD_DATABASE_URL", "REELYARD_BROKER_URL"} & set(SERVICES["ingest"]["environment"])


def test_the_worker_asks_for_units_where_the_ingest_serves_them() -> None:
    units = SERVICES["worker"]["environment"]["REELYARD_INGEST_UNITS"]
    assert units == SERVICES["ingest"]["environment"]["REELYARD_INGEST_UNITS_BIND"]
    [network] = COMPOSE["networks"]["farm"]["ipam"]["config"]
    assert units.split(":")[0] == network["gateway"]
    assert ip_address(network["gateway"]) in ip_network(network["subnet"])
    assert SERVICES["worker"]["environment"]["REELYARD_ALLOW_NETWORKS"] == network["subnet"]


def test_only_gateway_and_ingest_are_open_to_the_network() -> None:
    for name, service in SERVICES.items():
        if name not in ("gateway", "ingest"):
            assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
            assert "network_mode" not in service, name


def test_secrets_come_from_the_environment_and_must_be_set() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|AUTH|ACCESS_KEY|TOKEN", variable):
                assert re.fullmatch(r"\$\{\w+:\?\}", value), f"{name}: {variable}"


def test_the_broker_neither_forgets_nor_evicts() -> None:
    command = SERVICES["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


def test_every_volume_and_dependency_that_is_named_exists() -> None:
    for service in SERVICES.values():
        assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(COMPOSE["volumes"])
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other]


# --- the very commands, as processes


class Started:
    """Services as processes on this machine: their commands and environments, with this machine's addresses put in."""

    def __init__(self, folder: Path, database_url: str, broker_url: str) -> None:
        self.folder = folder
        gateway, ingest, units, view = free_ports(4)
        self.gateway, self.flower = f"http://127.0.0.1:{gateway}", f"http://127.0.0.1:{view}"
        self._values = {
            "REELYARD_DATABASE_URL": database_url,
            "REELYARD_BROKER_URL": broker_url,
            "REELYARD_SECRET_KEYS": secrets.generate_key(),
            "REELYARD_METRICS_TOKEN": "token-of-prometheus",
            "FLOWER_BASIC_AUTH": "operator:password",
            "REELYARD_GATEWAY_URL": self.gateway,
        }
        self._words = {
            "0.0.0.0": "127.0.0.1",
            "127.0.0.1:8080": f"127.0.0.1:{gateway}",
            "8080": str(gateway),
            "5555": str(view),
            "/var/lib/reelyard": str(folder),
            "172.31.90.1:8191": f"127.0.0.1:{units}",
            ":8190": f":{ingest}",
            "${REELYARD_HOST_ADDRESS:?}": "127.0.0.1",
        }
        self._running: list[ServerProcess] = []

    def argv(self, words: list[str]) -> list[str]:
        program, *rest = words
        return [str(Path(sys.executable).parent / program), *(self._put(word) for word in rest)]

    def environment(self, name: str) -> dict[str, str]:
        said: Mapping[str, str] = SERVICES[name]["environment"]
        set_ = {variable: self._values.get(variable) or self._put(value) for variable, value in said.items()}
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("REELYARD_", "FLOWER_"))}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        image = {"REELYARD_SPOOL": str(self.folder / "spool"), "PATH": path, "HOSTNAME": socket.gethostname()}
        return kept | image | set_

    def _put(self, word: str) -> str:
        for theirs, ours in self._words.items():
            word = word.replace(theirs, ours)
        return word

    def start(self, name: str) -> ServerProcess:
        folder = self.folder / f"{name}-{len(self._running)}"
        folder.mkdir()
        command = SERVICES[name]["command"]
        # The image's working folder is the checkout; here it is on the path, so that each log has a folder of its own.
        env = self.environment(name) | {"PYTHONPATH": str(ROOT)}
        process = ServerProcess(self.argv(command), directory=folder, environment=env)
        self._running.append(process)
        return process

    def well(self, name: str) -> None:
        """Raises while the service's own health check fails."""
        kind, *words = SERVICES[name]["healthcheck"]["test"]
        command = ["/bin/sh", "-c", words[0].replace("$$", "$")] if kind == "CMD-SHELL" else self.argv(words)
        env = self.environment(name) | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise AssertionError(done.stdout[-500:] + done.stderr[-500:])

    def metrics(self) -> str:
        answer = httpx.get(f"{self.gateway}/metrics", headers={"Authorization": "Bearer token-of-prometheus"})
        return answer.raise_for_status().text

    def close(self) -> None:
        for process in reversed(self._running):
            process.stop()


@contextmanager
def started(folder: Path, database_url: str, broker_url: str) -> Iterator[Started]:
    farm = Started(folder, database_url, broker_url)
    try:
        yield farm
    finally:
        farm.close()


def until(shows: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + UP_WITHIN_S
    while not shows():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.2)


def test_every_service_comes_up_by_its_very_command(postgres_url: str, redis_url: str, tmp_path: Path) -> None:
    with started(tmp_path, postgres_url, redis_url) as farm:
        assert farm.start("migrate").wait(UP_WITHIN_S) == 0
        for name in ("gateway", "scheduler", "ingest", "tasks", "worker", "flower"):
            process = farm.start(name)
            if name in ("gateway", "ingest", "flower", "tasks"):
                process.wait_until(lambda name=name: farm.well(name), within_s=UP_WITHIN_S)  # type: ignore[misc] # bound now

        assert httpx.get(f"{farm.gateway}/metrics").status_code == 401
        assert httpx.get(f"{farm.flower}/tasks").status_code == 401
        until(lambda: "reelyard_scheduler_leads 1.0" in farm.metrics(), "a scheduler leads")
        until(lambda: 'reelyard_node_up{node="node-1"} 1.0' in farm.metrics(), "the worker is a node")
        farm.start("worker")
        until(lambda: 'reelyard_node_up{node="node-2"} 1.0' in farm.metrics(), "a scaled worker is another")
        assert httpx.get(f"{farm.gateway}/readyz").json() == {"ready": True, "missing": {}}
        assert {folder.name for folder in (tmp_path / "spool").iterdir()} == {"node-1", "node-2"}


def test_a_node_takes_the_first_spool_that_nobody_holds_until_its_process_ends(tmp_path: Path) -> None:
    take = "import pathlib, sys; from farm import slots; print(slots.take(pathlib.Path(sys.argv[1]), 'node')[0], flush=True)"
    go_on = "import os; os.execv('/bin/cat', ['cat'])"
    command = [sys.executable, "-c", f"{take}; {go_on}", str(tmp_path)]
    holders = []
    try:
        for expected in ("node-1", "node-2", "node-3"):
            holder = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            holders.append(holder)
            assert holder.stdout is not None
            assert holder.stdout.readline() == f"{expected}\n"
        holders[1].kill()
        holders[1].wait()
        assert slots.take(tmp_path, "node") == ("node-2", tmp_path / "node-2")
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()
