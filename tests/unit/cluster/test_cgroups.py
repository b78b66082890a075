"""cgroups of both versions, on folders that look like theirs."""

import asyncio
import os
import signal
import subprocess
from types import SimpleNamespace

import pytest

from cluster import cgroups, namespaces, network, node, registry, supervisor, up
from cluster.errors import ClusterError
from cluster.layout import Cluster
from tests.unit.cluster import unified

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
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)


@pytest.fixture
def version_2(tmp_path, monkeypatch):
    """A host of version 2, whose rules hold; the root of its hierarchy."""
    mounted(tmp_path, monkeypatch)
    root = tmp_path / "cgroup"
    (tmp_path / "mountinfo").write_text(LINE.format(number=1, place=root, kind="cgroup2"))
    unified.host(root)
    monkeypatch.setattr(cgroups, "ROOT", unified.Unified(root))
    monkeypatch.setattr(
        cgroups, "Path", lambda path: unified.Unified(path) if str(path).startswith(str(root)) else path
    )
    return root


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


def test_version_2_is_the_hosts_whatever_is_mounted_beside_it(version_2, tmp_path):
    with (tmp_path / "mountinfo").open("a") as mounts:
        mounts.write(LINE.format(number=2, place=tmp_path / "net_cls", kind="cgroup"))
    assert cgroups.hierarchies() == [version_2]


def test_version_2_hands_its_controllers_down(version_2):
    cgroups.create("/a/b")
    assert (version_2 / "a/cgroup.subtree_control").read_text() == "cpu memory pids"
    assert (version_2 / "a/b/cgroup.controllers").read_text() == "cpu memory pids"
    assert (version_2 / "a/b/cgroup.subtree_control").read_text() == "", "processes may enter it"


def test_version_2_takes_processes_in_leaves_only(version_2):
    cgroups.create("/a/b")
    with pytest.raises(OSError, match="busy"):
        cgroups.enter("/a", 5)
    cgroups.enter("/a/b", 5)
    cgroups.create("/a/b/c")
    assert (version_2 / "a/b/c/cgroup.controllers").read_text() == "", "nothing is handed down by who has processes"


@pytest.mark.parametrize("nodes_first", [True, False], ids=["a new cluster", "the supervisor runs already"])
def test_all_programs_and_pods_of_a_cluster_find_a_group_on_version_2(version_2, monkeypatch, tmp_path, nodes_first):
    cluster = Cluster("a", 0, 2)
    for module, name, stand_in in (
        (registry, "get", lambda _name: cluster),
        (namespaces, "is_pinned", lambda _pin: True),
        (namespaces, "is_whole", lambda _node: True),
        (network, "connect", lambda _cluster: None),
        (supervisor, "become_subreaper", lambda: None),
        (supervisor, "Supervisor", lambda _state: SimpleNamespace(run=lambda: None)),
        (asyncio, "run", lambda _supervisor: None),
    ):
        monkeypatch.setattr(module, name, stand_in)
    steps = [lambda: up.connect(cluster), lambda: supervisor.main("a")]
    for step in steps if nodes_first else reversed(steps):
        step()
    for number, one in enumerate(cluster.nodes, 1):
        cgroups.enter(one.system_cgroup, number)  # as the supervisor does with each program of the node
        pod = f"{node.kubelet(one, 1)['cgroupRoot']}/kubepods/burstable/pod1"
        cgroups.create(pod)
        assert (version_2 / pod[1:] / "cgroup.controllers").read_text() == "cpu memory pids"
    assert cgroups.processes(cluster.cgroup) == {1, 2}, "and the supervisor, who is this process here"
    assert (version_2 / cluster.control_cgroup[1:] / "cgroup.procs").read_text() == f"{os.getpid()}\n"


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


def test_freeze_version_2(version_2):
    cgroups.create("/a")
    cgroups.freeze("/a")
    assert (version_2 / "a/cgroup.freeze").read_text() == "1"
    cgroups.thaw("/a")
    assert (version_2 / "a/cgroup.freeze").read_text() == "0"


def test_kill_version_2(version_2):
    """By the kernel, at once, except where this process is among those below."""
    cgroups.create("/a/b")
    cgroups.create("/a/ours")
    cgroups.enter("/a/ours", os.getpid())
    for group in ("/a", "/a/b"):
        cgroups.kill(group)
    assert (version_2 / "a/cgroup.kill").read_text() == ""
    assert (version_2 / "a/b/cgroup.kill").read_text() == "1"


@pytest.mark.parametrize("there", [True, False], ids=["processes", "none"])
def test_kill_thaws_all_that_is_frozen_below(tmp_path, monkeypatch, there):
    """Version 1: what is frozen does not die; and a group that is left frozen would stop whoever comes next."""
    mounted(tmp_path, monkeypatch, freezer="cgroup")
    (tmp_path / "freezer/a/system/a-1").mkdir(parents=True)
    for group in ("a", "a/system", "a/system/a-1"):
        (tmp_path / "freezer" / group / "freezer.state").write_text("FROZEN")
    procs, process = tmp_path / "freezer/a/system/a-1/cgroup.procs", subprocess.Popen(["sleep", "600"])
    procs.write_text(f"{process.pid}\n" if there else "")
    monkeypatch.setattr(cgroups.time, "sleep", lambda _: procs.write_text(""))  # it is seen once, and gone then
    cgroups.kill("/a")
    states = [file.read_text() for file in (tmp_path / "freezer/a").rglob("freezer.state")]
    if not there:
        process.kill()
    assert process.wait(10) == -signal.SIGKILL
    assert states == ["THAWED"] * 3
