"""vmctl fence takes the same cluster as every other verb."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster import registry
from hostler.cli.main import app


@pytest.mark.parametrize(
    "words", [("status",), ("plan", "n1"), ("ack", "n1-x", "-m", "seen", "--yes"), ("off", "n1", "-m", "why", "--yes")]
)
@pytest.mark.parametrize("how", ["the option", "KUBECONFIG", "the user's"])
def test_which_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], how: str) -> None:
    """None is found: the file that is named says where it was looked for."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", "/gone/environment" if how == "KUBECONFIG" else "")
    monkeypatch.setattr(registry, "get", lambda name: pytest.fail(f"cluster {name} of this host was asked for"))
    option = ["--kubeconfig=/gone/option"] if how == "the option" else []
    wanted = {"the option": "/gone/option", "KUBECONFIG": "/gone/environment"}.get(how, f"{tmp_path}/.kube/config")
    done = CliRunner().invoke(app, ["fence", *words, *option])
    assert str(done.exception).startswith(f"{wanted} does not exist")
