"""Kubeconfigs: one for each component, the administrator's, and the cluster's context in the user's own file."""

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from cluster.errors import ClusterError
from cluster.layout import Cluster
from cluster.pki import ADMIN, CA

PARTS = ("clusters", "users", "contexts")
ADVICE = "mend it, or set KUBECONFIG to another"


def write_all(cluster: Cluster) -> None:
    """The kubeconfig of every component, and the administrator's at `cluster.kubeconfig`."""
    kubelets = [f"kubelet-{node.name}" for node in cluster.nodes]
    for component in ("controller-manager", "scheduler", "kube-proxy", "provisioner", *kubelets):
        save(cluster.config(component), document(cluster, component, _file))
    save(cluster.kubeconfig, document(cluster, ADMIN, _data))


def document(cluster: Cluster, component: str, given: Callable[[Path], tuple[str, str]]) -> dict[str, Any]:
    """A kubeconfig whose keys and certificates are `given`: inside it, or as the files that they are."""

    def told(key: str, file: str) -> dict[str, str]:
        suffix, value = given(cluster.pki / file)
        return {f"{key}{suffix}": value}

    name = cluster.name
    user = told("client-certificate", f"{component}.crt") | told("client-key", f"{component}.key")
    place = told("certificate-authority", f"{CA}.crt") | {"server": cluster.server}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": place}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }


def merge(existing: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """The user's kubeconfig with our context in it, which becomes the current one."""
    merged = {"apiVersion": "v1", "kind": "Config"} | existing
    for part in PARTS:
        names = {entry["name"] for entry in ours[part]}
        merged[part] = [entry for entry in existing.get(part) or [] if entry["name"] not in names] + ours[part]
    return merged | {"current-context": ours["current-context"]}


def without(existing: dict[str, Any], name: str) -> dict[str, Any]:
    """The user's kubeconfig without our context; another's is never made the current one."""
    left = dict(existing)
    for part in PARTS:
        left[part] = [entry for entry in existing.get(part) or [] if entry["name"] != name]
    if left.get("current-context") == name:
        left["current-context"] = ""
    return left


def users_file() -> Path:
    return Path.home() / ".kube" / "config"


def add_to_users(cluster: Cluster) -> None:
    path = users_file()
    save(path, merge(load(path), load(cluster.kubeconfig)))


def remove_from_users(cluster: Cluster) -> None:
    """Take the context away if it is ours: one of the same name that points elsewhere is somebody else's."""
    path = users_file()
    existing = load(path)
    servers = {e["name"]: (e.get("cluster") or {}).get("server") for e in existing.get("clusters") or []}
    if servers.get(cluster.name) != cluster.server:
        return
    left = without(existing, cluster.name)
    if any(left[part] for part in PARTS):
        save(path, left)
    else:
        path.unlink()


def load(path: Path) -> dict[str, Any]:
    """What the file says; nothing if there is none."""
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ClusterError(f"{path} cannot be read ({error.strerror}): {ADVICE}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ClusterError(f"{path} is no kubeconfig ({_wrong(error)}): {ADVICE}") from error
    if not isinstance(content, dict) or not all(_named(content.get(part) or [], part[:-1]) for part in PARTS):
        raise ClusterError(f"{path} is no kubeconfig (no lists of clusters, users and contexts): {ADVICE}")
    return content


def _named(entries: object, what: str) -> bool:
    """It is a list of things with names."""
    return isinstance(entries, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("name"), str) and isinstance(entry.get(what) or {}, dict)
        for entry in entries
    )


def _wrong(error: Exception) -> str:
    """Where, but not what is written there: it may be a key."""
    mark = getattr(error, "problem_mark", None)
    return f"no YAML at line {mark.line + 1}" if mark else "no YAML"


def save(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all; it has keys in it, so nobody else may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    target = path.resolve()
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(yaml.safe_dump(content, sort_keys=False))
    fresh.replace(target)


def _data(path: Path) -> tuple[str, str]:
    """For who takes the kubeconfig elsewhere."""
    return "-data", base64.b64encode(path.read_bytes()).decode()


def _file(path: Path) -> tuple[str, str]:
    """For our own components: a client library would write a copy of the key somewhere else."""
    return "", str(path)
