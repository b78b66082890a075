"""No test here reads or writes what this machine has: its clusters, and the programs and images that it keeps."""

import pytest

from cluster import layout


@pytest.fixture(autouse=True)
def away_from_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setattr(layout, "CLUSTERS", home / "clusters")
    monkeypatch.setattr(layout, "RUN", home / "run")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.delenv("HOSTLER_PROGRAMS", raising=False)
