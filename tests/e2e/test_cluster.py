"""vmctl cluster: a real Kubernetes on this host that mends itself and leaves nothing behind."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import cgroups, layout, namespaces, network, registry
from cluster.oci import write_image
from tests.e2e import seen
from tests.e2e.vmctl import Kubectl, fresh_namespace, status, vmctl

NAME = "t-cluster"
SECOND = "t-second"
PROBE = "docker.io/test/probe:1"
SHELL = "/bin/busybox"


def inventory(name: str) -> dict[str, list[str]]:
    """What of a cluster is on this host; with other clusters' things left out, for they may come and go."""
    others = [cluster for cluster in registry.clusters() if cluster.name != name] if layout.CLUSTERS.exists() else []
    theirs = {f"{cluster.bridge}{end}" for cluster in others for end in ("", "c", *(f"n{i}" for i in range(1, 9)))}
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    groups = [str(path) for path in Path("/sys/fs/cgroup").glob(f"**{layout.CGROUP}/*") if path.is_dir()]
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout.splitlines()
    loops = subprocess.run(["losetup", "--list", "--noheadings"], capture_output=True, text=True, check=True).stdout
    folders = [str(path) for place in (layout.CLUSTERS, layout.RUN) if place.exists() for path in place.iterdir()]
    return {
        "processes": [command for _, command in seen.commands() if f"/{name}/" in command or f" {name} " in command],
        "interfaces": sorted({path.name for path in Path("/sys/class/net").iterdir()} - theirs),
        "mounts": [place for place in mounts if name in place],
        "cgroups": sorted(path for path in groups if Path(path).name == name),
        "tables": [line for line in tables if line.split()[-1] not in {cluster.nft_table for cluster in others}],
        "loops": [line for line in loops.splitlines() if name in line],
        "folders": [path for path in folders if Path(path).name == name],
    }


@pytest.fixture(scope="module")
def before() -> dict[str, list[str]]:
    return inventory(NAME)


@pytest.fixture(scope="module")
def made(before: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """A cluster of two nodes with an image that has a busybox, and nothing else."""
    left = [name for name in ("processes", "mounts", "cgroups", "loops", "folders") if before[name]]
    assert not left, f"{left} of a cluster named {NAME} are there already: remove it first"
    program = shutil.which("busybox")
    assert program, "apt-get install busybox-static"
    archive = write_image(tmp_path_factory.mktemp("image") / "probe.tar", PROBE, {SHELL: Path(program)})
    try:
        vmctl("cluster", "up", "--name", NAME)
        vmctl("cluster", "load", "--name", NAME, str(archive))
        yield Kubectl(NAME)
    finally:
        vmctl("cluster", "down", "--name", NAME, check=False)


@pytest.fixture
def space(made: Kubectl) -> Iterator[str]:
    with fresh_namespace(made) as name:
        yield name


def pod(name: str, script: str, node: int = 1, **spec: object) -> dict[str, object]:
    container = {"name": "main", "image": PROBE, "command": [SHELL, "sh", "-c", script]}
    container |= {key: spec.pop(key) for key in ("volumeMounts", "volumeDevices", "securityContext") if key in spec}
    place = {"nodeSelector": {"kubernetes.io/hostname": f"{NAME}-{node}"}, "terminationGracePeriodSeconds": 0}
    metadata = {"name": name, "labels": {"app": name}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": place | spec | {"containers": [container]},
    }


def claim(name: str, access: str, mode: str = "Filesystem", **more: object) -> dict[str, object]:
    spec = {"accessModes": [access], "volumeMode": mode, "resources": {"requests": {"storage": "16Mi"}}} | more
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def ready(kubectl: Kubectl, space: str, *names: str) -> None:
    kubectl("wait", "-n", space, "--for=condition=Ready", *(f"pod/{name}" for name in names), "--timeout=120s")


def programs(name: str = NAME) -> dict[str, int]:
    return {program: entry["pid"] for program, entry in status(name)["programs"].items()}


def pods_run(space: str, kubectl: Kubectl) -> dict[str, int]:
    """Pod -> how often its container was started again."""
    pods = seen.items(kubectl, space, "pods")
    begun = [pod for pod in pods if pod["status"].get("containerStatuses")]
    return {p["metadata"]["name"]: p["status"]["containerStatuses"][0]["restartCount"] for p in begun}


def claimed_in(volume: dict[str, dict[str, dict[str, str]]]) -> str:
    return volume["spec"].get("claimRef", {}).get("namespace", "")


def test_it_is_a_whole_kubernetes(made):
    content = status(NAME)
    assert content["healthy"]
    assert content["nodes"] == {f"{NAME}-1": "Ready", f"{NAME}-2": "Ready"}
    nodes = [node["status"]["nodeInfo"] for node in seen.items(made, "default", "nodes")]
    assert {node["kubeletVersion"] for node in nodes} == {"v1.37.2"}
    assert len({node["machineID"] for node in nodes}) == 2, "each node is a machine of its own"
    (storage,) = seen.items(made, "default", "storageclass")
    assert storage["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true"


def test_pods_reach_pods_and_services_and_names(made, space):
    serve = f"{SHELL} mkdir /w && {SHELL} hostname > /w/index.html && exec {SHELL} httpd -f -p 8080 -h /w"
    made.apply(space, pod("near", serve), pod("far", serve, node=2), pod("client", f"exec {SHELL} sleep 3600"))
    ports = [{"port": 80, "targetPort": 8080}]
    for name in ("near", "far"):
        service = {"selector": {"app": name}, "ports": ports}
        made.apply(space, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": service})
    ready(made, space, "near", "far", "client")

    def fetch(url: str) -> str:
        return made("exec", "-n", space, "client", "--", SHELL, "wget", "-qO-", url).strip()

    address = seen.get(made, space, "pod", "far")["status"]["podIP"]
    # a pod is Ready a moment before its server listens
    assert seen.until("the pod answers", lambda: fetch(f"http://{address}:8080"), 60) == "far"
    for name in ("near", "far"):  # on the client's own node, and on the other
        cluster_ip = seen.get(made, space, "service", name)["spec"]["clusterIP"]
        assert seen.until(f"service {name} answers", lambda ip=cluster_ip: fetch(f"http://{ip}"), 60) == name
    lookup = ("exec", "-n", space, "client", "--", SHELL, "nslookup", f"far.{space}.svc.cluster.local")
    cluster_ip = seen.get(made, space, "service", "far")["spec"]["clusterIP"]
    assert seen.until("the name is known", lambda: cluster_ip in (told := made(*lookup)) and told, 60)


def test_a_node_looks_like_any_node(made, space):
    places = ("/var/lib/kubelet/device-plugins", "/run/containerd", "/var/log/pods")
    volumes = [{"name": f"v{i}", "hostPath": {"path": path, "type": "Directory"}} for i, path in enumerate(places)]
    mounts = [{"name": f"v{i}", "mountPath": f"/host{path}"} for i, path in enumerate(places)]
    sockets = f"/host{places[0]}/kubelet.sock /host{places[1]}/containerd.sock"
    script = (
        f"for f in {sockets}; do test -S $f && echo yes; done; {SHELL} ls /host{places[2]}; exec {SHELL} sleep 3600"
    )
    root = {"securityContext": {"privileged": True}, "hostNetwork": True}
    made.apply(space, pod("look", script, volumes=volumes, volumeMounts=mounts, **root))
    ready(made, space, "look")
    mark = f"{space}_look_"
    lines = seen.until("the list", lambda: mark in (log := made("logs", "-n", space, "look")) and log.split(), 60)
    assert lines[:2] == ["yes", "yes"]
    assert any(line.startswith(mark) for line in lines)
    assert made("exec", "-n", space, "look", "--", SHELL, "hostname").strip() == f"{NAME}-1"


def test_claims_are_shared_by_the_nodes(made, space):
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "shared"}}]
    mounts = [{"name": "data", "mountPath": "/data"}]
    made.apply(space, claim("shared", "ReadWriteMany"))
    for node in (1, 2):
        script = f"echo {node} > /data/{node}; exec {SHELL} sleep 3600"
        user = {"runAsUser": 107}
        made.apply(
            space, pod(f"writer-{node}", script, node, volumes=volumes, volumeMounts=mounts, securityContext=user)
        )
    ready(made, space, "writer-1", "writer-2")
    both = ("exec", "-n", space, "writer-1", "--", SHELL, "cat", "/data/1", "/data/2")
    seen.until("both have written", lambda: made(*both).split() == ["1", "2"], 60)
    volumes = seen.items(made, space, "pv")
    (folder,) = (Path(pv["spec"]["hostPath"]["path"]) for pv in volumes if claimed_in(pv) == space)
    made("delete", "-n", space, "pod/writer-1", "pod/writer-2", "pvc/shared")
    seen.until("the folder is gone", lambda: not folder.parent.exists(), 60)


def test_a_block_claim_is_a_device(made, space):
    volumes = [{"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}]
    device = [{"name": "disk", "devicePath": "/dev/disk"}]
    script = f"test -b /dev/disk && echo written > /dev/disk; {SHELL} head -c 8 /dev/disk; exec {SHELL} sleep 3600"
    made.apply(
        space, claim("disk", "ReadWriteOnce", "Block"), pod("user", script, volumes=volumes, volumeDevices=device)
    )
    ready(made, space, "user")
    assert seen.until("it says so", lambda: made("logs", "-n", space, "user"), 60) == "written\n"


def test_what_a_claim_cannot_have_is_told(made, space):
    source = {"kind": "PersistentVolumeClaim", "name": "other"}
    made.apply(space, claim("copy", "ReadWriteOnce", dataSource=source))

    def told() -> bool:
        return ("ProvisioningFailed", "spec.dataSource: volumes of this class begin empty") in seen.events(
            made, space, "copy"
        )

    seen.until("an event says why", told, 60)


def test_rights_are_held(made):
    def can(who: str, *what: str) -> bool:
        try:
            return made("auth", "can-i", f"--as={who}", *what).strip() == "yes"
        except RuntimeError:
            return False

    assert not can("system:anonymous", "get", "secrets", "-A")
    assert can("system:kube-scheduler", "list", "pods", "-A")
    assert not can("hostler:provisioner", "get", "secrets", "-A")
    with pytest.raises(RuntimeError, match=r"only its own Node object"):
        made("label", "node", f"{NAME}-2", "x=y", f"--as=system:node:{NAME}-1", "--as-group=system:nodes")


def test_a_program_that_dies_comes_back_and_is_told(made):
    old = programs()["kube-scheduler"]
    os.kill(old, signal.SIGKILL)

    def back() -> bool:
        entry = status(NAME)["programs"]["kube-scheduler"]
        return entry["state"] == "running" and entry["pid"] != old

    seen.until("the scheduler is back", back, 60)
    entry = status(NAME)["programs"]["kube-scheduler"]
    assert entry["starts"] == 2
    assert entry["deaths"][-1]["how"] == "killed by SIGKILL"
    assert "killed by SIGKILL" in vmctl("cluster", "status", "--name", NAME).stdout


def test_up_again_disturbs_nothing(made, space):
    made.apply(space, pod("stays", f"exec {SHELL} sleep 3600"))
    ready(made, space, "stays")
    then = programs()
    start = time.monotonic()
    vmctl("cluster", "up", "--name", NAME)
    assert time.monotonic() - start < 60
    assert programs() == then
    assert pods_run(space, made) == {"stays": 0}


def test_up_mends_what_is_broken(made, space):
    made.apply(space, pod("stays", f"exec {SHELL} sleep 3600"))
    ready(made, space, "stays")
    then = programs()
    os.kill(int(status(NAME)["supervisor"]["pid"]), signal.SIGKILL)
    seen.until("its death is seen", lambda: not status(NAME)["healthy"], 30)
    subprocess.run(["ip", "link", "delete", registry.get(NAME).nodes[1].interface], check=True)
    vmctl("cluster", "up", "--name", NAME)
    assert status(NAME)["healthy"]
    assert programs() == then, "a new supervisor keeps what runs"
    assert pods_run(space, made) == {"stays": 0}
    made.apply(space, pod("far", f"exec {SHELL} sleep 3600", node=2))
    ready(made, space, "far")


def test_up_after_the_host_started_anew(made, space):
    """As after a reboot: no process, no namespace, no interface; only what is on the disk."""
    made.apply(space, pod("stays", f"exec {SHELL} sleep 3600"))
    ready(made, space, "stays")
    cluster = registry.get(NAME)
    cgroups.kill(cluster.cgroup)
    namespaces.unpin_all(cluster)
    network.disconnect(cluster)
    vmctl("cluster", "up", "--name", NAME)
    assert status(NAME)["healthy"]
    seen.until("the pod runs again", lambda: pods_run(space, made).get("stays") == 1, 120)
    ready(made, space, "stays")


def test_a_node_comes_and_goes(made, space):
    made.apply(space, pod("stays", f"exec {SHELL} sleep 3600"))
    ready(made, space, "stays")
    kept = {program: pid for program, pid in programs().items() if not program.startswith("kube")}
    vmctl("cluster", "up", "--name", NAME, "--nodes", "3")
    third = registry.get(NAME).nodes[2]
    made.apply(space, pod("third", f"exec {SHELL} sleep 3600", node=3, tolerations=[{"operator": "Exists"}]))
    assert status(NAME)["nodes"][third.name] == "Ready"
    vmctl("cluster", "up", "--name", NAME, "--nodes", "2")
    assert status(NAME)["healthy"]
    assert {program: programs()[program] for program in kept} == kept
    assert not Path("/sys/class/net", third.interface).exists()
    assert not third.run.exists()
    assert not third.state.exists()
    assert [node["metadata"]["name"] for node in seen.items(made, space, "nodes")] == [f"{NAME}-1", f"{NAME}-2"]
    assert pods_run(space, made)["stays"] == 0


def test_two_side_by_side_share_nothing(made):
    try:
        vmctl("cluster", "up", "--name", SECOND, "--nodes", "0")
        one, two = registry.get(NAME), registry.get(SECOND)
        assert not one.network.overlaps(two.network)
        assert status(SECOND)["healthy"]
        assert seen.items(Kubectl(SECOND), "default", "nodes") == []
        vmctl("cluster", "down", "--name", SECOND)
        assert status(NAME)["healthy"]
    finally:
        vmctl("cluster", "down", "--name", SECOND, check=False)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        pytest.param(["load", "--name", NAME, __file__], "is not an OCI image archive", id="no archive"),
        pytest.param(["up", "--name", "Big_Name"], "a-z, 0-9 and -", id="a name that cannot be"),
        pytest.param(["up", "--name", NAME, "--nodes", "-1"], "--nodes -1", id="too few nodes"),
        pytest.param(["logs", "--name", NAME, "nothing"], "etcd", id="no such log: those that there are"),
        pytest.param(["down", "--name", "t-none"], "no cluster named t-none", id="no such cluster"),
    ],
)
def test_bad_input_is_told(made, args, said):
    done = vmctl("cluster", *args, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_down_leaves_nothing(made, before):
    made.apply("default", claim("left", "ReadWriteOnce", "Block"), claim("behind", "ReadWriteMany"))
    volumes = [{"name": "disk", "persistentVolumeClaim": {"claimName": "left"}}]
    device = [{"name": "disk", "devicePath": "/dev/disk"}]
    made.apply("default", pod("left", f"exec {SHELL} sleep 3600", volumes=volumes, volumeDevices=device))
    ready(made, "default", "left")
    assert inventory(NAME) != before
    vmctl("cluster", "down", "--name", NAME)
    seen.until("nothing is left", lambda: inventory(NAME) == before, 60)
    assert json.dumps(NAME) not in vmctl("cluster", "status", "-o", "json", check=False).stdout
