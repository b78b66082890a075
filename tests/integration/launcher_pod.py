"""A launcher pod without Kubernetes: PID 1 in namespaces of its own, as uid 107, with the places of a real pod."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from launcher.domain import Host, convert

CODE = Path(__file__).parents[2] / "launcher" / "pod"
PROGRAMS = ("libvirtd", "virsh", "qemu-system-x86_64", "qemu-img", "xorriso", "prlimit", "unshare", "setpriv")
PYTHON = "/usr/bin/python3"
UID = launcher.UID
NODES = "null zero full random urandom"

# What the kubelet and the container runtime do for a real pod. $T is the scratch folder.
ENTER = f"""
set -e
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir -p /run/kubevirt-private /run/hostler /run/lib/hostler
mount --bind $T/private /run/kubevirt-private
mount --bind $T/hostler /run/hostler
mount --bind $CODE /run/lib/hostler
mount --bind $T/passwd /etc/passwd
mount --bind $T/group /etc/group
mkdir -p $T/dev/shm
for node in {NODES}; do touch $T/dev/$node; mount --bind /dev/$node $T/dev/$node; done
mount --rbind $T/dev /dev
exec setpriv --reuid={UID} --regid={UID} --clear-groups --bounding-set=-all --no-new-privs \\
    env -i --block-signal=TERM HOSTLER_PREPARE="$HOSTLER_PREPARE" {PYTHON} -S -E /run/lib/hostler/pid1.py
"""


def missing() -> str:
    """Why no such pod can be made here; empty if it can."""
    if os.geteuid() != 0:
        return "needs root to make namespaces"
    absent = [name for name in PROGRAMS if not shutil.which(name)]
    return f"not installed: {', '.join(absent)}" if absent else ""


class Pod:
    """A running launcher pod, seen from its node."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], vmi: VirtualMachineInstance) -> None:
        self.folder = folder
        self.process = process
        self.vmi = vmi
        self.private = folder / "private"
        self.output = folder / "stdout"
        self.errors = folder / "stderr"
        self.domain = launcher.domain_name(vmi.metadata.namespace, vmi.metadata.name)

    def virsh(self, *arguments: str) -> str:
        uri = f"qemu+unix:///session?socket={self.private}/libvirt/libvirt-sock"
        done = subprocess.run(
            ["virsh", "-q", "-c", uri, *arguments], capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode:
            raise AssertionError(done.stderr + self.errors.read_text())
        return done.stdout.strip()

    def start_guest(self) -> None:
        """What the node's agent does."""
        self.wait_for_libvirt()
        file = self.folder / "domain.xml"
        file.write_text(convert(self.vmi, Host(kvm=False)))
        self.virsh("create", str(file))

    def wait_for_libvirt(self) -> None:
        until(self, (self.private / "libvirt/libvirt-sock").exists, "libvirtd's socket")
        until(self, self.answers, "libvirtd's answer")

    def answers(self) -> bool:
        try:
            return bool(self.virsh("uri"))
        except AssertionError:
            return False

    def console(self) -> str:
        return self.output.read_bytes().decode(errors="replace")

    def wait_for_line(self, line: str) -> None:
        until(self, lambda: line in self.console(), f"{line!r} on the console")

    def pids(self, name: str) -> list[int]:
        """Process ids, on this host, of what runs in the pod under a name."""
        return [pid for pid in descendants(self.process.pid) if comm(pid).startswith(name)]

    def pid1(self) -> int:
        return children(self.process.pid)[0]

    def stop(self) -> None:
        """The kubelet's way: SIGTERM to PID 1."""
        os.kill(self.pid1(), signal.SIGTERM)

    def end(self, seconds: float = 120) -> tuple[int, str]:
        """Exit code and reason, once the pod has ended."""
        code = self.process.wait(seconds)
        return code, json.loads((self.folder / "dev/termination-log").read_text())["reason"]


@contextmanager
def pod(
    vmi: VirtualMachineInstance, request: launcher.Prepare, images: dict[str, Path], claims: Sequence[str] = ()
) -> Iterator[Pod]:
    """Run PID 1 with this request; `images` are there as image volumes are, `claims` as empty file systems."""
    folder = Path(tempfile.mkdtemp(prefix="pod-"))  # short: a Unix socket's path has 108 bytes
    for name in ("private", "hostler/disks", "hostler/images", "dev"):
        (folder / name).mkdir(parents=True)
    for name, source in images.items():
        shutil.copytree(source, folder / "hostler/images" / name)
    for name in claims:
        (folder / "private/vmi-disks" / name).mkdir(parents=True)
        os.chown(folder / "private/vmi-disks" / name, UID, UID)
    (folder / "passwd").write_text(f"root:x:0:0::/root:/bin/sh\nqemu:x:{UID}:{UID}::{launcher.PRIVATE}:/bin/false\n")
    (folder / "group").write_text(f"root:x:0:\nqemu:x:{UID}:\n")
    (folder / "dev/termination-log").touch()
    for path in (folder / "private", folder / "hostler/disks", folder / "dev/termination-log"):
        os.chown(path, UID, UID)
    folder.chmod(0o755)
    environment = {"T": str(folder), "CODE": str(CODE), "PATH": os.environ["PATH"]}
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-c", ENTER]
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = subprocess.Popen(
            command, env=environment | {launcher.PREPARE_ENV: request.json_text()}, stdout=out, stderr=err
        )
    try:
        yield Pod(folder, process, vmi)
    finally:
        for init in children(process.pid):  # unshare's --kill-child is forgotten when setpriv changes the user
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(init, signal.SIGKILL)  # and with PID 1 goes all in its namespace
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def until(pod: Pod, seen: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Wait for something; a pod that ends meanwhile, or takes too long, fails the test with its own words."""
    deadline = time.monotonic() + seconds
    while not seen():
        ended = pod.process.poll() is not None
        if ended or time.monotonic() > deadline:
            raise AssertionError(f"no {what}; ended: {ended}\n{pod.errors.read_text()}\n{pod.console()[-2000:]}")
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def descendants(pid: int) -> Iterator[int]:
    for child in children(pid):
        yield child
        yield from descendants(child)


def comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
