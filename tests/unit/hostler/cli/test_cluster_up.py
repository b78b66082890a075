"""How many nodes `vmctl cluster up` and `vmctl up` ask for."""

import pytest
from typer.testing import CliRunner

from cluster import layout, registry
from hostler.cli import cluster as cli
from hostler.cli import up
from hostler.cli.main import app


class Asked(Exception):
    """In place of a cluster: the size that was asked for."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    def ask(_name, size, *_):
        raise Asked(size)

    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(layout, "CLUSTERS", tmp_path)
    monkeypatch.setattr(registry, "host_networks", dict)
    monkeypatch.setattr(cli.make, "up", ask)
    monkeypatch.setattr(up.programs, "find", lambda *_: {})
    monkeypatch.setattr(up.programs, "cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(up, "build_images", lambda _progress: {})


@pytest.mark.parametrize(
    ("command", "there", "options", "expected"),
    [
        pytest.param("cluster up", None, "", 2, id="a new one has two"),
        pytest.param("cluster up", 3, "", 3, id="one that is there keeps its nodes"),
        pytest.param("cluster up", 0, "", 0, id="a control plane stays one"),
        pytest.param("cluster up", 3, "--nodes 1", 1, id="who asks for fewer gets fewer"),
        pytest.param("cluster up", 3, "--nodes 0", 0, id="none at all is a wish, too"),
        pytest.param("up", None, "", 2, id="vmctl up: a new one has two"),
        pytest.param("up", 3, "", 3, id="vmctl up: one that is there keeps its nodes"),
        pytest.param("up", 0, "", 2, id="vmctl up: guests need a node"),
        pytest.param("up", 3, "--nodes 1", 1, id="vmctl up: who asks for fewer gets fewer"),
    ],
)
def test_nodes(command, there, options, expected):
    if there is not None:
        registry.claim("a", there)
    done = CliRunner().invoke(app, [*command.split(), "--name", "a", *options.split()])
    assert isinstance(done.exception, Asked), done.output
    assert done.exception.args == (expected,)
