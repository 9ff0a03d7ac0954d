"""The way to a cluster: what an address may be, what travels, and what is said where there is no way."""

import re
import socket
import sys

import pytest
import ray

from agents.runners import cluster
from agents.runners.cluster import check_address, connect, luggage
from agents.runners.member import essence


@pytest.mark.parametrize("address", ["auto", "local"])
def test_names(address):
    check_address(address)


def test_somebody_listens():
    """Mutation: the scheme left in the host."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        check_address(f"127.0.0.1:{port}")
        check_address(f"ray://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("somewhere", "must be auto, local, host:port or ray://host:port, got 'somewhere'"),
        ("http://a:1", "must be auto"),
        ("a:b", "must be auto"),
        (":6379", "must be auto"),
        ("127.0.0.1:1", "127.0.0.1:1: nobody listens there"),
        ("ray://127.0.0.1:99999", "nobody listens there"),
    ],
)
def test_bad_addresses(address, message):
    """One line, soon. Mutation: left to Ray, which tries for a minute."""
    with pytest.raises(ValueError, match=message) as error:
        check_address(address)
    assert str(error.value).startswith("--ray-address ")
    assert "\n" not in str(error.value)


def test_without_ray(monkeypatch):
    """Mutation: the ImportError let through."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        ValueError, match=r"--runner ray needs the package ray.*pip install -e '\.\[cluster\]'"
    ):
        connect("auto", 0)


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        (
            "auto",
            ConnectionError("nothing\nhere"),
            "--ray-address auto: no Ray cluster; start one with `ray start",
        ),
        ("auto", RuntimeError("Version\nmismatch"), "--ray-address auto: Version mismatch"),
    ],
)
def test_no_way(monkeypatch, address, error, message):
    """One line. Mutation: Ray's own error let through."""

    def init(**_):
        raise error

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(ValueError, match="^" + re.escape(message)) as caught:
        connect(address, 0)
    assert "\n" not in str(caught.value)


def test_what_travels(tmp_path, monkeypatch):
    """The folder that a run is started from; Longhold beside it only where it is elsewhere.

    Mutation: Longhold never shipped, or always; a submitted job's own folder overruled.
    """
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    monkeypatch.chdir(tmp_path)
    found = luggage()
    assert found["working_dir"] == str(tmp_path)
    names = [path.rpartition("/")[2] for path in found["py_modules"]]
    assert names == ["agents", "cores", "envs", "scripts"]
    monkeypatch.chdir(cluster.Path(cluster.__file__).parents[2])
    assert luggage()["py_modules"] == []
    assert {"runs", ".venv", ".git"} <= set(luggage()["excludes"])
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert luggage() == {}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("one\n  two: 3\n\n", "two: 3"),
        ("a\nThe actor never ran - it was cancelled", "a"),
        ("x\nIt died. Worker exit detail: End of file. Some common causes include: (1)", "End of file."),
        ("", "RuntimeError"),
    ],
)
def test_essence(message, expected):
    """Mutation: the first line."""
    assert essence(RuntimeError(message)) == expected
