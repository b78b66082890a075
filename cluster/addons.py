"""What every cluster has inside from the start: DNS, the default storage class, and the rights of its provisioner."""

import json
from pathlib import Path
from typing import Any

import yaml

from cluster import durable, host, images, oci
from cluster.layout import DOMAIN, Cluster

COREDNS_IMAGE = "docker.io/hostler/coredns"
STORAGE_CLASS = "hostler-shared"
PROVISIONER = "hostler.io/shared"
RBAC = "rbac.authorization.k8s.io"
DNS_PORT = 1053  # not 53: then it needs no capability
LOST = {"effect": "NoExecute", "operator": "Exists", "tolerationSeconds": 30}
DNS_TOLERATIONS = [  # not of every taint: on a node that is lost it would be made again and again
    {"key": "CriticalAddonsOnly", "operator": "Exists"},
    {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/not-ready"} | LOST,
    {"key": "node.kubernetes.io/unreachable"} | LOST,
]


def archives(coredns: Path, version: str) -> list[Path]:
    """Archives of the images that the cluster itself needs; made once."""
    about = coredns.stat()
    dns = images.cache_folder() / "archives" / f"coredns-{version}-{about.st_size:x}-{about.st_mtime_ns:x}.tar"
    if not durable.whole(dns):
        files, ref = {"/coredns": coredns}, coredns_ref(version)
        # not compressed: it never leaves this host
        oci.write_image(dns, ref, files, entrypoint=["/coredns"], user="65532:65532", compress=False)
    return [images.build(["pause"])["pause"].tar, dns]


def coredns_ref(version: str) -> str:
    return f"{COREDNS_IMAGE}:{version.removeprefix('v')}"


def apply(cluster: Cluster, version: str, upstream: list[str]) -> None:
    """Write all of them to the API server; what is right already stays."""
    objects = [*storage(), *(dns(cluster, version, upstream) if cluster.nodes else [])]
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    kubectl = [str(cluster.bin / "kubectl"), "--kubeconfig", str(cluster.kubeconfig)]
    host.run(*kubectl, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest, timeout=120)


def storage() -> list[dict[str, Any]]:
    look, write = ["get", "list", "watch"], ["create", "patch"]
    rights = [
        {"apiGroups": [""], "resources": ["persistentvolumes"], "verbs": [*look, *write, "delete"]},
        {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": look},
        {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["get"]},
        {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": write},
    ]
    user = {"kind": "User", "name": "hostler:provisioner", "apiGroup": RBAC}
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    return [
        _object("storage.k8s.io/v1", "StorageClass", {"name": STORAGE_CLASS, "annotations": default})
        | {"provisioner": PROVISIONER, "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"},
        *_role("hostler-provisioner", rights, user),
    ]


def dns(cluster: Cluster, version: str, upstream: list[str]) -> list[dict[str, Any]]:
    name = {"name": "coredns", "namespace": "kube-system"}
    labels = {"k8s-app": "kube-dns"}
    rights = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    ports = [
        {"name": "dns", "port": 53, "targetPort": DNS_PORT, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "targetPort": DNS_PORT, "protocol": "TCP"},
    ]
    service = {"selector": labels, "clusterIP": str(cluster.dns), "ports": ports}
    return [
        _object("v1", "ServiceAccount", name),
        *_role("hostler-coredns", rights, {"kind": "ServiceAccount", **name}),
        _object("v1", "ConfigMap", name) | {"data": {"Corefile": corefile(upstream)}},
        _object("apps/v1", "Deployment", name | {"labels": labels}) | {"spec": _deployment(version, labels)},
        _object("v1", "Service", {"name": "kube-dns", "namespace": "kube-system", "labels": labels})
        | {"spec": service},
    ]


def corefile(upstream: list[str]) -> str:
    # without a server to ask, `forward` would not let it start
    forward = f"  forward . {' '.join(upstream)}\n" if upstream else ""
    return f""".:{DNS_PORT} {{
  errors
  health :8080 {{
    lameduck 1s
  }}
  ready :8181
  kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
    pods insecure
    fallthrough in-addr.arpa ip6.arpa
  }}
  prometheus :9153
{forward}  cache 30
  reload
  loadbalance
}}
"""


def _coredns(version: str) -> Any:
    return yaml.safe_load(f"""
name: coredns
image: {coredns_ref(version)}
imagePullPolicy: IfNotPresent
args: [-conf, /etc/coredns/Corefile]
ports:
  - {{name: dns, containerPort: {DNS_PORT}, protocol: UDP}}
  - {{name: dns-tcp, containerPort: {DNS_PORT}, protocol: TCP}}
  - {{name: metrics, containerPort: 9153, protocol: TCP}}
readinessProbe: {{httpGet: {{path: /ready, port: 8181}}, periodSeconds: 1, failureThreshold: 10}}
livenessProbe: {{httpGet: {{path: /health, port: 8080}}, initialDelaySeconds: 30, failureThreshold: 5}}
resources: {{requests: {{cpu: 50m, memory: 70Mi}}, limits: {{memory: 170Mi}}}}
securityContext:
  runAsNonRoot: true
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {{drop: [ALL]}}
volumeMounts: [{{name: config, mountPath: /etc/coredns, readOnly: true}}]
""")


def _deployment(version: str, labels: dict[str, str]) -> dict[str, Any]:
    pod = {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "tolerations": DNS_TOLERATIONS,
        "containers": [_coredns(version)],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
    return {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }


def _object(version: str, kind: str, metadata: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _role(name: str, rights: list[dict[str, Any]], subject: dict[str, str]) -> list[dict[str, Any]]:
    reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}
    return [
        _object(f"{RBAC}/v1", "ClusterRole", {"name": name}) | {"rules": rights},
        _object(f"{RBAC}/v1", "ClusterRoleBinding", {"name": name}) | {"roleRef": reference, "subjects": [subject]},
    ]
