"""The configuration of nodes and of the control plane."""

import tomllib

import pytest

from cluster import addons, control, namespaces, node, spec
from cluster.errors import ClusterError
from cluster.layout import Cluster

CLUSTER = Cluster("a", 0, 2)


@pytest.mark.parametrize(("may", "expected"), [(True, False), (False, True)])
def test_containerd_lowers_scores_only_where_it_may(tmp_path, may, expected):
    config = tomllib.loads(node.containerd(CLUSTER, tmp_path, may))
    runtime = config["plugins"]["io.containerd.cri.v1.runtime"]
    assert config["version"] == 3
    assert runtime["restrict_oom_score_adj"] is expected
    assert runtime["cni"]["bin_dirs"] == [str(tmp_path)]
    assert config["plugins"]["io.containerd.cri.v1.images"]["pinned_images"]["sandbox"] == "docker.io/hostler/pause:1"


def test_the_nodes_share_the_memory_of_the_host():
    reserved = [int(node.kubelet(one, 0.5)["systemReserved"]["memory"]) for one in CLUSTER.nodes]
    assert sum(node.memory_bytes() - each for each in reserved) == pytest.approx(node.memory_bytes(), rel=1e-6)


def test_each_node_has_pods_and_cgroups_of_its_own():
    first, second = CLUSTER.nodes
    assert node.kubelet(first, 1)["cgroupRoot"] == "/hostler/a/a-1"
    ranges = [node.pod_network(one)["plugins"][0]["ipam"]["ranges"][0][0]["subnet"] for one in (first, second)]
    assert ranges == ["10.128.129.0/24", "10.128.130.0/24"]


def test_plugins_are_taken_whole(tmp_path):
    half, whole = tmp_path / "half", tmp_path / "whole"
    for folder, names in ((half, node.NEEDED_PLUGINS[:1]), (whole, node.NEEDED_PLUGINS)):
        folder.mkdir()
        for name in names:
            (folder / name).touch()
    assert node.plugins((half, whole)) == whole
    with pytest.raises(ClusterError, match="apt-get install containernetworking-plugins"):
        node.plugins((half,))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nameserver 192.0.2.1\nsearch x\n", ["192.0.2.1"]),
        ("nameserver 127.0.0.53\n", []),
        ("# none\nnameserver\n", []),
    ],
)
def test_nameservers_that_pods_can_reach(tmp_path, text, expected):
    (tmp_path / "resolv.conf").write_text(text)
    assert node.nameservers([tmp_path / "absent", tmp_path / "resolv.conf"]) == expected


def test_dns_starts_also_without_a_server_to_ask():
    assert "forward" not in addons.corefile([])
    assert "forward . 192.0.2.1 192.0.2.2" in addons.corefile(["192.0.2.1", "192.0.2.2"])


def test_the_control_plane_starts_in_order():
    known = {program.name: program for program in control.programs(CLUSTER)}
    depths = {name: program.depth(known) for name, program in known.items()}
    assert depths == {
        "etcd": 0, "kube-apiserver": 1, "kube-controller-manager": 2, "kube-scheduler": 2, "provisioner": 2,
    }  # fmt: skip


def test_a_list_of_programs_is_read_as_it_was_written(tmp_path):
    programs = control.programs(CLUSTER)
    spec.save(tmp_path / "programs.json", programs)
    assert spec.load(tmp_path / "programs.json") == programs


def test_nobody_else_reads_the_list_of_programs(tmp_path):
    (tmp_path / ".programs.json").touch(mode=0o644)
    spec.save(tmp_path / "programs.json", [])
    assert (tmp_path / "programs.json").stat().st_mode & 0o777 == 0o600


def test_a_program_is_another_when_its_build_or_configuration_is(tmp_path):
    (config := tmp_path / "config").write_text("one")
    program = tmp_path / "program"
    stamps = {spec.stamp(program, config), spec.stamp(program, config)}
    config.write_text("two")
    stamps.add(spec.stamp(program, config))
    program.symlink_to(tmp_path / "build-2")
    stamps.add(spec.stamp(program, config))
    assert len(stamps) == 3


def test_a_node_sees_the_usual_places_as_its_own():
    script = namespaces.script(CLUSTER.nodes[0])
    for place in ("/var/lib/kubelet", "/var/lib/containerd", "/etc/cni/net.d", "/var/log/pods"):
        assert f" {place}\n" in script
    assert script.index("mount -t tmpfs") < script.index("mkdir -p /run")
    assert script.index("make-rshared") > script.rindex("mount --bind")
