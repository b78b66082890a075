"""KUBECONFIG may be a list, as for kubectl; helm and the examples get one file."""

from pathlib import Path

import pytest

from cluster import layout, programs
from hostler.cli import tour, up

ONE = "contexts: [{name: a, context: {cluster: a}}]"


@pytest.fixture
def kubectl(tmp_path, monkeypatch):
    """A program that shows a flat kubeconfig."""
    (program := tmp_path / "kubectl").write_text(f"#!/bin/sh\necho '{ONE}'\n")
    program.chmod(0o755)
    monkeypatch.setattr(layout, "CLUSTERS", tmp_path / "clusters")
    monkeypatch.setattr(programs, "find", lambda *given: {})
    monkeypatch.setattr(programs, "links", lambda found, folder: tmp_path)
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'one'}:{tmp_path / 'other'}")
    return program


def test_helm_gets_one_file(kubectl, monkeypatch):
    seen: list[str] = []
    monkeypatch.setattr(up, "install", lambda folder, config, *more: seen.append(Path(config).read_text().strip()))
    up.up("a", example=False)
    assert seen == [ONE]


def test_a_guide_gets_one_file(kubectl):
    with tour._guide("a") as guide:
        assert guide.kubeconfig.read_text().strip() == ONE
        assert (guide.kubectl, guide.cluster) == (kubectl, "")
