"""Disks on a real cluster: the example, a worker killed in the middle, an upload, sources that are no good."""

import base64
import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.tour import Guide
from tests.e2e import seen

EXAMPLE = Path(__file__).parents[2] / "examples" / "disks"
SIZE = 128 << 20
READER = """
import hashlib, sys
file, rest, sum = open("/data/disk.img", "rb"), int(sys.argv[1]), hashlib.sha256()
while rest and (piece := file.read(min(rest, 1 << 20))):
    sum.update(piece)
    rest -= len(piece)
print(sum.hexdigest(), rest)
"""


@pytest.fixture
def image(kubectl):
    deployed = seen.get(kubectl, "hostler", "deployment", "hostler-disks")
    return deployed["spec"]["template"]["spec"]["containers"][0]["image"]


@pytest.fixture
def images(kubectl, namespace, image):
    """The example's web server; file name -> sha256 of what it serves."""
    kubectl(
        "apply", "-n", namespace, "-f", "-", stdin=(EXAMPLE / "images.yaml").read_text().replace("HOSTLER_IMAGE", image)
    )
    kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod/images", "--timeout=240s")
    sums = kubectl("exec", "-n", namespace, "images", "--", "cat", "/srv/sums")
    return {name: digest for digest, name in map(str.split, sums.splitlines())}


def data_volume(name, url, checksum):
    http = {"url": url, "checksum": f"sha256:{checksum}"}
    spec = {"source": {"http": http}, "storage": {"resources": {"requests": {"storage": str(SIZE)}}}}
    return {"apiVersion": "cdi.kubevirt.io/v1beta1", "kind": "DataVolume", "metadata": {"name": name}, "spec": spec}


def status(kubectl, namespace, name):
    return seen.get(kubectl, namespace, "dv", name).get("status", {})


def sum_of(kubectl, namespace, claim, image, length):
    """sha256 of the first `length` bytes of the disk on a claim, by a pod that mounts it."""
    command = ["python3", "-c", READER, str(length)]
    container = {"name": "reader", "image": image, "command": command, "securityContext": {"runAsUser": 107}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "reader"},
        "spec": {
            "restartPolicy": "Never",
            "containers": [container | {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
        },
    }
    kubectl.apply(namespace, pod)
    kubectl("wait", "-n", namespace, "--for=jsonpath={.status.phase}=Succeeded", "pod/reader", "--timeout=120s")
    digest, rest = kubectl("logs", "-n", namespace, "reader").split()
    assert rest == "0"
    return digest


def test_a_worker_killed_in_the_middle(kubectl, namespace, images, image):
    """SIGKILL to the worker of an import at 1 MiB a second: it goes on, and every byte is right."""
    kubectl.apply(namespace, data_volume("slow", "http://images/slow/tiny.raw", images["tiny.raw"]))
    uid = seen.get(kubectl, namespace, "dv", "slow")["metadata"]["uid"]

    def safe():
        told = seen.get(kubectl, namespace, "dv", "slow")["metadata"].get("annotations", {})
        return json.loads(told.get("hostler.io/disk-worker", "{}")).get("offset", 0)

    offset = seen.until("a part of the disk is safe", safe, 120)
    (pod,) = seen.items(kubectl, namespace, "pods", "kubevirt.io=hostler-disk-worker")
    assert pod["metadata"]["ownerReferences"][0]["uid"] == uid
    commands = dict(seen.commands())
    (worker,) = [pid for pid in seen.pod_processes(pod["metadata"]["uid"]) if "celery" in commands.get(pid, "")]
    killed = time.monotonic()
    seen.kill(worker)

    def taken():
        return status(kubectl, namespace, "slow").get("restartCount") and safe() > offset

    seen.until("another worker has taken it up", taken, 120)
    print(f"taken up and further after {time.monotonic() - killed:.1f} s")
    kubectl("wait", "-n", namespace, "--for=jsonpath={.status.phase}=Succeeded", "dv/slow", "--timeout=300s")
    length = int(kubectl("exec", "-n", namespace, "images", "--", "stat", "-c", "%s", "/srv/tiny.raw"))
    assert sum_of(kubectl, namespace, "slow", image, length) == images["tiny.raw"]


def test_upload(kubectl, namespace, images, image, tmp_path):
    """From this machine by the API server's token and the gateway, to the same bytes on the volume."""
    raw = tmp_path / "tiny.raw"
    script = "import base64; print(base64.b64encode(open('/srv/tiny.raw.gz', 'rb').read()).decode())"
    packed = kubectl("exec", "-n", namespace, "images", "--", "python3", "-c", script)
    raw.write_bytes(gzip.decompress(base64.b64decode(packed)))
    environment = os.environ | {
        "KUBECONFIG": kubectl.kubeconfig,
        "PATH": f"{Path(kubectl.program).parent}:{os.environ['PATH']}",
    }
    command = [sys.executable, "-m", "hostler.cli.main", "image-upload", "disk", "-n", namespace]
    command += ["--size=64Mi", f"--image-path={raw}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "completed successfully" in done.stdout
    assert sum_of(kubectl, namespace, "disk", image, raw.stat().st_size) == images["tiny.raw"]


def test_example(kubectl, cluster):
    stop = Guide(Path(kubectl.program), Path(kubectl.kubeconfig), cluster).visit("disks")
    assert stop.passed, "\n".join(stop.lines)


def test_broken_sources(kubectl, namespace, images):
    for name, url in (("missing", "http://images/none"), ("nobody", "http://nobody.invalid/x")):
        kubectl.apply(namespace, data_volume(name, url, "0" * 64))
    kubectl("wait", "-n", namespace, "--for=jsonpath={.status.phase}=Failed", "dv/missing", "--timeout=180s")
    running = seen.condition(seen.get(kubectl, namespace, "dv", "missing"), "Running")
    assert running["reason"] == "SourceRefused"
    assert running["message"] == "http://images/none answered 404 Not Found"

    def tried():
        said = seen.condition(seen.get(kubectl, namespace, "dv", "nobody"), "Running")
        return said.get("reason") == "TransferInterrupted" and "nobody.invalid" in said["message"]

    seen.until("the trouble is told while it is tried again", tried, 120)
