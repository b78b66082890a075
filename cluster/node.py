"""The programs of a node and their configuration."""

import json
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cluster import host, image_pause, namespaces, proxy
from cluster.control import APISERVER
from cluster.errors import ClusterError
from cluster.layout import CLUSTER_LABEL, DOMAIN, Cluster, Node
from cluster.pki import CA
from cluster.spec import Ready, Spec
from cluster.spec import stamp as spec_stamp

CONFIGURATION = {"containerd": "containerd.toml", "kubelet": "kubelet.json", "kube-proxy": "kube-proxy.json"}
SOCKET = "/run/containerd/containerd.sock"
PLUGINS = (Path("/opt/cni/bin"), Path("/usr/lib/cni"))
NEEDED_PLUGINS = ("bridge", "host-local", "loopback", "portmap")
MOST_PODS = 250  # addresses in a node's /24, without the bridge's own
CAP_SYS_RESOURCE = 24
DISK_SIGNALS = ("nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree")
KUBELET_PORT, PROXY_PORT = 10248, 10256
RESOLVED = Path("/run/systemd/resolve/resolv.conf")


def programs(node: Node) -> list[Spec]:
    """A containerd, a kubelet and a kube-proxy in the node's namespaces; it is configured already."""
    config, binary = node.state / "config", node.cluster.bin
    files = {name: config / file for name, file in CONFIGURATION.items()}
    path = {"PATH": f"{binary}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    own = path | proxy.of_programs(node.cluster)
    kubelet = (
        f"--kubeconfig={node.cluster.config(f'kubelet-{node.name}')}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
        f"--node-labels={CLUSTER_LABEL}={node.cluster.name}",
    )

    def spec(program: str, *flags: str, **more: Any) -> Spec:
        argv = (*namespaces.enter(node), str(binary / program), f"--config={files[program]}", *flags)
        stamp = spec_stamp(binary / program, files[program])
        return Spec(f"{program}-{node.name}", argv, stamp=stamp, cgroup=node.system_cgroup, **more)

    return [
        spec("containerd", ready=Ready(socket=SOCKET), env=path | proxy.of_pulls(node.cluster)),
        spec(
            "kubelet", *kubelet, after=(f"containerd-{node.name}", APISERVER), ready=Ready(port=KUBELET_PORT), env=own
        ),
        spec("kube-proxy", after=(APISERVER,), ready=Ready(port=PROXY_PORT), env=own),
    ]


def configure(node: Node, share: float) -> None:
    """Write all its configuration; `share` of the host's memory is the node's."""
    config = node.state / "config"
    files = {
        config / "containerd.toml": containerd(node.cluster, plugins(), can_lower_oom_score()),
        config / "kubelet.json": json.dumps(kubelet(node, share), indent=1),
        config / "kube-proxy.json": json.dumps(kube_proxy(node), indent=1),
        node.state / "net.d" / "10-pods.conflist": json.dumps(pod_network(node), indent=1),
        node.state / "resolv.conf": "".join(f"nameserver {server}\n" for server in nameservers()),
    }
    if not (machine := node.state / "machine-id").exists():
        files[machine] = uuid.uuid4().hex + "\n"
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        host.put(path, text)


def containerd(cluster: Cluster, plugins: Path, can_lower_oom_score: bool) -> str:
    """containerd's configuration. Whoever may not lower an OOM score must not try: runc would die of it."""
    runtime = "plugins.'io.containerd.cri.v1.runtime'"
    return f"""version = 3
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "{SOCKET}"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{image_pause.REF}"

[{runtime}]
  restrict_oom_score_adj = {str(not can_lower_oom_score).lower()}

[{runtime}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  runtime_path = "{cluster.bin}/containerd-shim-runc-v2"

[{runtime}.containerd.runtimes.runc.options]
  BinaryName = "{cluster.bin}/runc"
  SystemdCgroup = false

[{runtime}.cni]
  bin_dirs = ["{plugins}"]
  conf_dir = "/etc/cni/net.d"

[plugins.'io.containerd.nri.v1.nri']
  disable = true
"""


def kubelet(node: Node, share: float) -> dict[str, Any]:
    pki = node.cluster.pki
    reserved = memory_bytes() * (1 - share)
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(pki / f"{CA}.crt")}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / f"kubelet-{node.name}-server.crt"),
        "tlsPrivateKeyFile": str(pki / f"kubelet-{node.name}-server.key"),
        "clusterDNS": [str(node.cluster.dns)],
        "clusterDomain": DOMAIN,
        "resolvConf": str(node.state / "resolv.conf"),
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupRoot": node.cgroup,
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        # the nodes share the host's memory: together they promise what there is, and no more
        "systemReserved": {"memory": str(int(reserved))},
        "enforceNodeAllocatable": [],
        # the disk is shared with the whole host: how full it is tells nothing about this node
        "evictionHard": {"memory.available": "100Mi"} | dict.fromkeys(DISK_SIGNALS, "0%"),
        "imageGCHighThresholdPercent": 100,
        "maxPods": MOST_PODS,
        "oomScoreAdj": 0 if not can_lower_oom_score() else -999,
        "makeIPTablesUtilChains": False,  # kube-proxy here is the nftables one
    }


def kube_proxy(node: Node) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": str(node.cluster.pods),
        "hostnameOverride": node.name,
        "clientConnection": {"kubeconfig": str(node.cluster.config("kube-proxy"))},
        # these sysctls are the host's, not ours to set
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "nftables": {"minSyncPeriod": "100ms"},
    }


def pod_network(node: Node) -> dict[str, Any]:
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "isDefaultGateway": True,  # without it a pod has no default route
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": str(node.pods)}]], "dataDir": "/var/lib/cni/networks"},
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, ports]}


def plugins(folders: Iterable[Path] = PLUGINS) -> Path:
    """The folder with the CNI plugins."""
    for folder in folders:
        if all((folder / name).exists() for name in NEEDED_PLUGINS):
            return folder
    raise ClusterError("no CNI plugins: apt-get install containernetworking-plugins")


def can_lower_oom_score() -> bool:
    status = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> CAP_SYS_RESOURCE & 1)


def memory_bytes() -> int:
    line = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:"))
    return int(line.split()[1]) * 1024


def nameservers(files: Iterable[Path] = (RESOLVED, Path("/etc/resolv.conf"))) -> list[str]:
    """Those that a pod can reach too: not the host's loopback."""
    for file in files:
        if file.exists():
            words = [line.split() for line in file.read_text().splitlines()]
            servers = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
            return [server for server in servers if not server.startswith("127.") and server != "::1"]
    return []


def require_tools() -> None:
    """ClusterError names the Debian packages of what is missing."""
    tools = {"ip": "iproute2", "nft": "nftables", "nsenter": "util-linux", "losetup": "mount", "gcc": "gcc libc6-dev"}
    missing = [package for tool, package in tools.items() if shutil.which(tool) is None]
    if missing:
        raise ClusterError(f"missing programs: apt-get install {' '.join(missing)}")
    plugins()
    image_pause.require_static_libc()
