"""Takes nodes away from a cluster that is to have fewer."""

import shutil
from collections.abc import Sequence

from cluster import cgroups, host, namespaces, network
from cluster.layout import Cluster, Node


def surplus(cluster: Cluster) -> list[Node]:
    """Nodes that an earlier `up` made and that the cluster should not have any more."""
    folder = cluster.state / "nodes"
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    numbers = [int(name.removeprefix(f"{cluster.name}-")) for name in names - {node.name for node in cluster.nodes}]
    return [Node(cluster, number) for number in sorted(numbers)]


def remove(nodes: Sequence[Node]) -> None:
    """Remove the nodes with all that runs on them. The supervisor has stopped their programs."""
    for node in nodes:
        kubectl = (node.cluster.bin / "kubectl", f"--kubeconfig={node.cluster.kubeconfig}")
        host.run(*kubectl, "delete", "node", node.name, "--ignore-not-found")
        for group in (node.system_cgroup, node.cgroup):
            cgroups.kill(group)
            cgroups.remove(group)
        namespaces.unpin(node.run)
        node.run.rmdir()
        network.remove(node.interface)
        shutil.rmtree(node.state)
