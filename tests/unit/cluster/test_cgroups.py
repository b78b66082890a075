"""cgroups of both versions, on folders that look like theirs."""

import os

import pytest

from cluster import cgroups
from cluster.errors import ClusterError

LINE = "30 23 0:{number} / {place} rw,nosuid shared:{number} - {kind} cgroup rw\n"


def mounted(tmp_path, monkeypatch, **kinds: str) -> None:
    lines = [
        LINE.format(number=number, place=tmp_path / name, kind=kind)
        for number, (name, kind) in enumerate(kinds.items(), 1)
    ]
    for name in kinds:
        (tmp_path / name).mkdir()
    (tmp_path / "mountinfo").write_text("22 1 254:0 / / rw - ext4 /dev/vda rw\n" + "".join(lines))
    monkeypatch.setattr(cgroups, "MOUNTS", tmp_path / "mountinfo")


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        pytest.param({"pids": "cgroup", "cpu": "cgroup"}, ["pids", "cpu"], id="version 1"),
        pytest.param({"unified": "cgroup2"}, ["unified"], id="version 2"),
        pytest.param({"pids": "cgroup", "unified": "cgroup2"}, ["pids"], id="both: pods are in version 1"),
    ],
)
def test_hierarchies(tmp_path, monkeypatch, kinds, expected):
    mounted(tmp_path, monkeypatch, **kinds)
    assert cgroups.hierarchies() == [tmp_path / name for name in expected]


def test_none_is_told(tmp_path, monkeypatch):
    mounted(tmp_path, monkeypatch)
    with pytest.raises(ClusterError, match="no cgroups"):
        cgroups.hierarchies()


def test_version_1_inherits_its_processors(tmp_path, monkeypatch):
    mounted(tmp_path, monkeypatch, cpuset="cgroup")
    for group in ("", "a", "a/b"):
        (tmp_path / "cpuset" / group).mkdir(exist_ok=True)
        for name, text in (("cpuset.cpus", "0-3\n"), ("cpuset.mems", "0\n")):
            (tmp_path / "cpuset" / group / name).write_text("" if group else text)
    cgroups.create("/a/b")
    assert (tmp_path / "cpuset/a/b/cpuset.cpus").read_text() == "0-3\n"
    assert (tmp_path / "cpuset/a/b/cpuset.mems").read_text() == "0\n"


def test_version_2_hands_its_controllers_down(tmp_path, monkeypatch):
    mounted(tmp_path, monkeypatch, unified="cgroup2")
    for group in ("", "a"):
        (tmp_path / "unified" / group).mkdir(exist_ok=True)
        (tmp_path / "unified" / group / "cgroup.controllers").write_text("cpu memory pids\n")
        (tmp_path / "unified" / group / "cgroup.subtree_control").touch()
    cgroups.create("/a/b")
    assert (tmp_path / "unified/a/b").is_dir()
    # a kernel adds each word to what was written before; a file has the last
    assert (tmp_path / "unified/a/cgroup.subtree_control").read_text() == "+pids"


def test_processes_are_found_below_and_in_all_hierarchies(tmp_path, monkeypatch):
    mounted(tmp_path, monkeypatch, pids="cgroup", memory="cgroup")
    there = {"pids/a": "11\n", "pids/a/b": "12\n13\n", "memory/a": f"12\n{os.getpid()}\n", "pids/c": "14\n"}
    for place, pids in there.items():
        (tmp_path / place).mkdir()
        (tmp_path / place / "cgroup.procs").write_text(pids)
    assert cgroups.processes("/a") == {11, 12, 13}, "all but this one"


def test_one_enters_where_it_is_found(tmp_path, monkeypatch):
    mounted(tmp_path, monkeypatch, memory="cgroup", freezer="cgroup", pids="cgroup")
    (tmp_path / "pids" / "a").mkdir()
    cgroups.enter("/a", 5)
    assert (tmp_path / "pids/a/cgroup.procs").read_text() == "5"


def test_remove(tmp_path, monkeypatch):
    mounted(tmp_path, monkeypatch, pids="cgroup", memory="cgroup", unified="cgroup2")
    for place in ("pids/h/a/b", "memory/h/a", "pids/h/other", "unified/h/a/b"):
        (tmp_path / place).mkdir(parents=True)
    cgroups.remove("/h/a")
    cgroups.remove_empty("/h")
    assert not (tmp_path / "pids/h/a").exists()
    assert not (tmp_path / "memory/h").exists()
    assert not (tmp_path / "unified/h").exists()
    assert (tmp_path / "pids/h").exists(), "another cluster's is in it"


def test_freeze_version_1(tmp_path, monkeypatch):
    """Programs of another hierarchy are brought into the freezer's first."""
    mounted(tmp_path, monkeypatch, pids="cgroup", freezer="cgroup")
    for place in ("pids/a", "freezer/a"):
        (tmp_path / place).mkdir()
    (tmp_path / "pids/a/cgroup.procs").write_text("11\n")
    cgroups.freeze("/a")
    assert (tmp_path / "freezer/a/freezer.state").read_text() == "FROZEN"
    assert (tmp_path / "freezer/a/cgroup.procs").read_text() == "11"
    cgroups.thaw("/a")
    assert (tmp_path / "freezer/a/freezer.state").read_text() == "THAWED"


def test_freeze_version_2(tmp_path, monkeypatch):
    mounted(tmp_path, monkeypatch, unified="cgroup2")
    (tmp_path / "unified/a").mkdir()
    cgroups.freeze("/a")
    assert (tmp_path / "unified/a/cgroup.freeze").read_text() == "1"
    cgroups.thaw("/a")
    assert (tmp_path / "unified/a/cgroup.freeze").read_text() == "0"
