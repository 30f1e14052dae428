"""docker-compose.yml, judged by its structure: no engine is needed to see a service that loses recordings or stands open."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own, for one call

from models.settings import Settings
from models.vocabulary.messages import node_queue

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"] == "reelyard"]
KNOWN_KEYS = {
    *("image", "build", "restart", "stop_grace_period", "networks", "network_mode", "command", "entrypoint"),
    *("environment", "depends_on", "ports", "volumes", "healthcheck"),
}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_uses_only_keys_that_compose_knows(name: str) -> None:
    assert set(SERVICES[name]) <= KNOWN_KEYS
    assert set(SERVICES[name].get("healthcheck", {})) <= {"test", "interval", "timeout", "retries", "start_period"}


@pytest.mark.parametrize("name", OURS)
def test_every_process_of_ours_has_time_to_end_properly(name: str) -> None:
    assert SERVICES[name]["stop_grace_period"] == "120s"


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_one_that_the_farm_reads(name: str) -> None:
    known = {f"REELYARD_{setting.upper()}" for setting in Settings.model_fields} | {"FLOWER_BASIC_AUTH"}
    assert set(SERVICES[name]["environment"]) <= known


def test_a_worker_listens_on_the_queue_of_its_own_name_and_keeps_its_spool() -> None:
    worker = SERVICES["worker"]
    assert worker["command"][worker["command"].index("-Q") + 1] == node_queue(
        worker["environment"]["REELYARD_NODE_NAME"]
    )
    assert worker["volumes"] == ["spool-1:/var/lib/reelyard/spool"]


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
            if re.search("PASSWORD|SECRET|AUTH|ACCESS_KEY", variable):
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
