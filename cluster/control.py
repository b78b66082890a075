"""The programs of the control plane and how they are told to run."""

import sys
from collections.abc import Mapping

from cluster import namespaces, proxy
from cluster.layout import API_PORT, DOMAIN, Cluster
from cluster.pki import CA, FRONT_PROXY_CA, SERVICE_ACCOUNTS
from cluster.spec import Ready, Spec, stamp

ETCD_PORT, PEER_PORT = 2379, 2380  # on the loopback of the control plane's own network namespace: nobody else is there
CONTROLLER_PORT, SCHEDULER_PORT = 10257, 10259
APISERVER = "kube-apiserver"


def programs(cluster: Cluster) -> list[Spec]:
    """etcd and what talks to the API server, in the order in which they start."""
    return [
        _spec(cluster, "etcd", etcd(cluster), Ready(port=ETCD_PORT)),
        _spec(cluster, APISERVER, apiserver(cluster), ready_api(cluster), after=("etcd",)),
        _spec(
            cluster, "kube-controller-manager", controllers(cluster), Ready(port=CONTROLLER_PORT), after=(APISERVER,)
        ),
        _spec(cluster, "kube-scheduler", scheduler(cluster), Ready(port=SCHEDULER_PORT), after=(APISERVER,)),
        provisioner(cluster),
    ]


def ready_api(cluster: Cluster) -> Ready:
    return Ready(url=f"{cluster.server}/readyz", ca=str(cluster.pki / f"{CA}.crt"))


def _spec(cluster: Cluster, name: str, flags: Mapping[str, object], ready: Ready, after: tuple[str, ...] = ()) -> Spec:
    argv = [*namespaces.enter_control(cluster), str(cluster.bin / name), *(f"--{k}={v}" for k, v in flags.items())]
    return Spec(name, tuple(argv), after, ready, proxy.of_programs(cluster), stamp=stamp(cluster.bin / name))


def provisioner(cluster: Cluster) -> Spec:
    argv = (sys.executable, "-m", "cluster.provisioner", cluster.name)
    return Spec("provisioner", argv, (APISERVER,), env=proxy.of_programs(cluster))


def etcd(cluster: Cluster) -> dict[str, object]:
    client, peer = f"http://127.0.0.1:{ETCD_PORT}", f"http://127.0.0.1:{PEER_PORT}"
    return {
        "name": cluster.name,
        "data-dir": cluster.state / "etcd",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"{cluster.name}={peer}",
        "unsafe-no-fsync": "true",  # a cluster to try out: a crash of the host may cost it its last second
        "log-level": "warn",
    }


def apiserver(cluster: Cluster) -> dict[str, object]:
    pki = cluster.pki
    return {
        "etcd-servers": f"http://127.0.0.1:{ETCD_PORT}",
        "advertise-address": cluster.control,
        "secure-port": API_PORT,
        "client-ca-file": pki / f"{CA}.crt",
        "tls-cert-file": pki / "apiserver.crt",
        "tls-private-key-file": pki / "apiserver.key",
        "kubelet-client-certificate": pki / "apiserver-kubelet-client.crt",
        "kubelet-client-key": pki / "apiserver-kubelet-client.key",
        "kubelet-certificate-authority": pki / f"{CA}.crt",
        # else `kubectl logs` and `exec` look for the node's name in DNS
        "kubelet-preferred-address-types": "InternalIP",
        "service-account-issuer": f"https://kubernetes.default.svc.{DOMAIN}",
        "service-account-key-file": pki / f"{SERVICE_ACCOUNTS}.pub",
        "service-account-signing-key-file": pki / f"{SERVICE_ACCOUNTS}.key",
        "service-cluster-ip-range": cluster.services,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        # API extensions are reached by their pods' addresses: no kube-proxy runs beside the API server
        "enable-aggregator-routing": "true",
        "requestheader-client-ca-file": pki / f"{FRONT_PROXY_CA}.crt",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": pki / "front-proxy-client.crt",
        "proxy-client-key-file": pki / "front-proxy-client.key",
        "profiling": "false",
    }


def controllers(cluster: Cluster) -> dict[str, object]:
    pki = cluster.pki
    return _client(cluster, "controller-manager") | {
        "secure-port": CONTROLLER_PORT,
        # each node knows its pods' addresses from its own configuration
        "controllers": "*,-node-ipam-controller",
        "cluster-name": cluster.name,
        "root-ca-file": pki / f"{CA}.crt",
        "cluster-signing-cert-file": pki / f"{CA}.crt",
        "cluster-signing-key-file": pki / f"{CA}.key",
        "service-account-private-key-file": pki / f"{SERVICE_ACCOUNTS}.key",
        "use-service-account-credentials": "true",
    }


def scheduler(cluster: Cluster) -> dict[str, object]:
    return _client(cluster, "scheduler") | {"secure-port": SCHEDULER_PORT}


def _client(cluster: Cluster, component: str) -> dict[str, object]:
    config = cluster.config(component)
    return {
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "requestheader-client-ca-file": cluster.pki / f"{FRONT_PROXY_CA}.crt",
        "bind-address": "127.0.0.1",
        "leader-elect": "false",  # there is one
        "profiling": "false",
        # bursts of guests are what this is for; the defaults (20 and 50 a second) are for shared API servers
        "kube-api-qps": 1000,
        "kube-api-burst": 2000,
    }
