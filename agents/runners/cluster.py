"""The way to a Ray cluster: its address, and what travels there with a run."""

import logging
import os
import socket
from pathlib import Path
from typing import Any

import agents
import cores
import envs
from agents.command_line import flat

CONNECT_S = 5.0
"""How long an address is tried."""

LEFT_BEHIND = [".git", ".venv", "runs", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"]
"""Folders that no actor needs, beside those that a .gitignore names."""

HINT = "install it with: pip install -e '.[cluster]'"


def connect(address: str, num_actors: int, asked_by: str = "--runner ray") -> bool:
    """Connects this process to a cluster.

    Args:
        address: auto, local, host:port or ray://host:port.
        num_actors: for which a cluster of this machine's own is to have room; 0: one a processor core.
        asked_by: the flag that asks for Ray, for messages.

    Returns:
        Whether that was necessary; where a program has connected itself, that connection serves.

    Raises:
        ValueError: one line; no Ray, or no cluster there.
    """
    try:
        import ray
    except ImportError:
        raise ValueError(f"{asked_by} needs the package ray: {HINT}") from None
    if ray.is_initialized():
        return False
    check_address(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    kwargs: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        kwargs |= {"num_cpus": num_actors or None, "include_dashboard": False}
    else:
        kwargs |= {"runtime_env": luggage()}
    try:
        ray.init(**kwargs)
    except ConnectionError as error:
        advice = "start one with `ray start --head`, or say --ray-address local" if address == "auto" else ""
        raise ValueError(f"--ray-address {address}: no Ray cluster; {advice or flat(error)}") from None
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"--ray-address {address}: {flat(error)}") from None
    return True


def disconnect() -> None:
    """Leaves the cluster; ends it, where it was this process's own."""
    import ray

    ray.shutdown()


def num_cores() -> int:
    """Processor cores of the cluster as it is now."""
    import ray

    return int(ray.cluster_resources().get("CPU", 0))


def check_address(address: str) -> None:
    """Finds out soon what Ray would find out late.

    Raises:
        ValueError: one line; it is no address, or nobody listens there.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise ValueError(f"--ray-address must be auto, local, host:port or ray://host:port, got {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise ValueError(f"--ray-address {address}: nobody listens there ({flat(error)})") from None


def luggage() -> dict[str, Any]:
    """Ray's runtime environment: the folder that the run was started from, and Longhold if it is elsewhere.

    A job that was submitted with a folder of its own (`ray job submit --working-dir`) has it there already.
    """
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
        return {}
    here = Path.cwd()
    packages = [Path(str(package.__file__)).parent for package in (agents, cores, envs)]
    packages.append(packages[0].with_name("scripts"))  # which nothing imports; a sweep's runs start there
    elsewhere = [str(folder) for folder in packages if not folder.is_relative_to(here)]
    return {"working_dir": str(here), "excludes": LEFT_BEHIND, "py_modules": elsewhere}
