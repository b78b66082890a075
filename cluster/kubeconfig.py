"""Kubeconfigs: one for each component, the administrator's, and the cluster's context in the user's own file."""

import base64
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from cluster import durable, host, registry
from cluster.errors import ClusterError
from cluster.layout import Cluster
from cluster.pki import ADMIN, CA

PARTS = ("clusters", "users", "contexts")
ADVICE = "mend it, or set KUBECONFIG to another"


class Taken(ClusterError):
    """The user's kubeconfig has our name for something else, which is not ours to replace."""


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
    """Make it the current context; Taken if something else has its name there."""
    path = users_file()
    existing = load(path)
    if found := foreign(existing, cluster.name, {each.server for each in [cluster, *registry.clusters()]}):
        parts = " ".join(f"kubectl config delete-{part} {cluster.name};" for part in ("context", "cluster", "user"))
        raise Taken(
            f"{path} has {found}, which is not of this host: it stays as it is. "
            f"To have this one there, rename that one, or remove it ({parts.rstrip(';')}), and run this again"
        )
    save(path, merge(existing, load(cluster.kubeconfig)), home=Path.home())


def foreign(existing: dict[str, Any], name: str, servers: set[str]) -> str:
    """What has that name and leads to none of the servers; empty if there is nothing."""
    found = {part: entry for part in PARTS for entry in existing.get(part) or [] if entry["name"] == name}
    server = (found.get("clusters", {}).get("cluster") or {}).get("server")
    meant = (found.get("contexts", {}).get("context") or {}).get("cluster")
    if "clusters" in found and server not in servers:
        return f"a cluster {name!r} ({server})"
    if "contexts" in found and meant != name:
        return f"a context {name!r} (of the cluster {meant!r})"
    return f"a user {name!r}" if "users" in found and "clusters" not in found else ""


def remove_from_users(cluster: Cluster) -> None:
    """Take the context away if it is ours: one of the same name that points elsewhere is somebody else's."""
    path = users_file()
    existing = load(path)
    servers = {e["name"]: (e.get("cluster") or {}).get("server") for e in existing.get("clusters") or []}
    if servers.get(cluster.name) != cluster.server:
        return
    left = without(existing, cluster.name)
    if any(left[part] for part in PARTS):
        save(path, left, home=Path.home())
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


def save(path: Path, content: dict[str, Any], home: Path | None = None) -> None:
    """Whole or not at all; it has keys in it, so nobody else may read it. It stays its owner's, or is the `home`'s."""
    target = path.resolve()
    like = target if target.exists() else home
    if not target.parent.exists():
        target.parent.mkdir(parents=True)
        _give(target.parent, home)
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(yaml.safe_dump(content, sort_keys=False))
    _give(fresh, like)
    durable.replace(fresh, target)


def _give(path: Path, like: Path | None) -> None:
    """To the owner and group of `like`: with `sudo -E`, root writes into the home of another."""
    if like is not None and os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


@contextmanager
def one_file(named: str, kubectl: Path) -> Iterator[Path]:
    """What KUBECONFIG names as one file, as helm wants it: of a list the current context, in a file of its own."""
    files = [Path(word) for word in named.split(os.pathsep) if word]
    if len(files) == 1:
        yield files[0]
        return
    view = (kubectl, "config", "view", "--raw", "--minify", "--flatten")
    with TemporaryDirectory(prefix="hostler-kubeconfig.") as folder:
        file = Path(folder) / "config"
        file.touch(mode=0o600)
        file.write_text(host.run("env", f"KUBECONFIG={named}", *view))
        yield file


def own_cluster(path: Path) -> Cluster | None:
    """The cluster of this host that a kubeconfig leads to; None: somebody else's."""
    content = load(path)
    places = {entry["name"]: (entry.get("cluster") or {}).get("server") for entry in content.get("clusters") or []}
    contexts = {entry["name"]: (entry.get("context") or {}).get("cluster") for entry in content.get("contexts") or []}
    server = places.get(contexts.get(content.get("current-context")))
    return next((cluster for cluster in registry.clusters() if cluster.server == server), None)


def _data(path: Path) -> tuple[str, str]:
    """For who takes the kubeconfig elsewhere."""
    return "-data", base64.b64encode(path.read_bytes()).decode()


def _file(path: Path) -> tuple[str, str]:
    """For our own components: a client library would write a copy of the key somewhere else."""
    return "", str(path)
