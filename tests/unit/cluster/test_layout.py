"""Everything of a cluster follows from its name and its number."""

from itertools import combinations

import pytest

from cluster import layout
from cluster.errors import ClusterError
from cluster.layout import Cluster


def test_addresses_of_a_cluster():
    cluster = Cluster("a", 3, 2)
    first, second = cluster.nodes
    assert str(cluster.network) == "10.131.0.0/16"
    assert (str(cluster.api), str(cluster.dns)) == ("10.131.0.1", "10.131.0.10")
    assert (str(cluster.gateway), str(cluster.control)) == ("10.131.32.1", "10.131.32.2")
    assert (first.name, str(first.address), str(first.pods)) == ("a-1", "10.131.32.11", "10.131.129.0/24")
    assert (second.name, str(second.address), str(second.pods)) == ("a-2", "10.131.32.12", "10.131.130.0/24")


def test_the_ranges_of_a_cluster_are_its_own_and_apart():
    cluster = Cluster("a", layout.INDEXES - 1, layout.MOST_NODES)
    assert cluster.network.is_private
    assert not cluster.services.overlaps(cluster.pods)
    for node in cluster.nodes:
        assert node.address in cluster.network
        assert node.address not in cluster.services
        assert node.pods.subnet_of(cluster.pods)
    for one, other in combinations(cluster.nodes, 2):
        assert not one.pods.overlaps(other.pods)


def test_two_clusters_share_no_name_of_the_host():
    one, other = (names(Cluster(name, index, 12)) for name, index in (("a", 1), ("b", 11)))
    assert not one & other


def names(cluster: Cluster) -> set[str]:
    interfaces = {cluster.bridge, cluster.control_interface, *(node.interface for node in cluster.nodes)}
    assert all(len(name) <= 15 for name in interfaces), "the kernel's limit"
    return interfaces | {cluster.nft_table, str(cluster.state), str(cluster.run), cluster.cgroup}


@pytest.mark.parametrize("name", ["a", "hostler", "t-1", "a" * 20])
def test_good_names(name):
    assert layout.checked_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "1a", "-a", "a-", "a_b", "a.b", "a/b", "..", "a" * 21, "a\n"])
def test_bad_names(name):
    with pytest.raises(ClusterError, match="--name"):
        layout.checked_name(name)


@pytest.mark.parametrize("size", [-1, layout.MOST_NODES + 1])
def test_bad_sizes(size):
    with pytest.raises(ClusterError, match="--nodes"):
        layout.checked_size(size)
