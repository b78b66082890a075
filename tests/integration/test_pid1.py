"""PID 1 of the launcher pod with a real libvirtd, a real QEMU and a real guest."""

import os
import signal
import time
from pathlib import Path

import pytest

from hostler.api import launcher
from hostler.api.kubevirt.vmi import VirtualMachineInstance
from tests.integration import guest as guests
from tests.integration.launcher_pod import missing, pod, until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


def vmi(does: str = "", grace: int = 60, **devices: object) -> VirtualMachineInstance:
    """A guest whose kernel and initramfs come in an image; `does` tells it how to end."""
    boot = {"image": "guest", "kernelPath": "/vmlinuz", "initrdPath": "/initrd"}
    return VirtualMachineInstance.model_validate(
        {
            "metadata": {"name": "web", "namespace": "default", "uid": "5a9fc181-957e-4c32-9e5a-2de5e9673531"},
            "spec": {
                "terminationGracePeriodSeconds": grace,
                "domain": {
                    "memory": {"guest": "128Mi"},
                    "devices": {"autoattachGraphicsDevice": False} | devices,
                    "firmware": {
                        "kernelBoot": {"kernelArgs": f"console=ttyS0 quiet panic=-1 {does}", "container": boot}
                    },
                },
            },
        }
    )


def request(of: VirtualMachineInstance) -> launcher.Prepare:
    return launcher.Prepare(
        domain=launcher.domain_name(of.metadata.namespace, of.metadata.name),
        grace_seconds=of.spec.termination_grace_period_seconds or 0,
        boot=launcher.Boot(kernel="/vmlinuz", initrd="/initrd"),
    )


@pytest.fixture(scope="module")
def images() -> dict[str, Path]:
    return {launcher.KERNEL_VOLUME: guests.files()}


def test_poweroff_ends_the_pod_well(images: dict[str, Path]) -> None:
    guest = vmi("do=poweroff")
    with pod(guest, request(guest), images) as running:
        running.start_guest()
        assert running.end() == (0, "Shutdown")
        assert "GUEST UP" in running.console()


def test_every_kind_of_disk_and_device(images: dict[str, Path], tmp_path: Path) -> None:
    buses = {"root": "virtio", "scratch": "scsi", "claim": "sata", "nocloud": "virtio", "stick": "usb"}
    disks = [{"name": name, "disk": {"bus": bus}} for name, bus in buses.items()]
    devices = {
        "disks": [*disks, {"name": "drive", "cdrom": {}}],
        "autoattachGraphicsDevice": True,
        "blockMultiQueue": True,
        "inputs": [{"name": "pointer", "type": "tablet", "bus": "virtio"}],
        "rng": {},
        "watchdog": {"name": "dog", "i6300esb": {}},
        "panicDevices": [{"model": "isa"}, {"model": "hyperv"}],
    }
    raw = vmi(**devices).model_dump(by_alias=True, exclude_none=True)
    raw["spec"]["domain"] |= {"ioThreadsPolicy": "auto", "cpu": {"cores": 2, "maxSockets": 2, "model": "Nehalem"}}
    raw["spec"]["volumes"] = [
        {"name": "root", "containerDisk": {"image": "x"}},
        {"name": "scratch", "emptyDisk": {"capacity": "64Mi"}},
        {"name": "claim", "persistentVolumeClaim": {"claimName": "x"}},
        {"name": "nocloud", "cloudInitNoCloud": {"userData": "#cloud-config"}},
        {"name": "stick", "emptyDisk": {"capacity": "64Mi"}},
        {"name": "drive", "cloudInitConfigDrive": {"userData": "#cloud-config"}},
    ]
    guest = VirtualMachineInstance.model_validate(raw)
    cloud = {"instance_id": "i", "hostname": "web", "user_data": b"#cloud-config"}
    wanted = request(guest).model_copy(
        update={
            "disks": (
                launcher.Overlay(volume="root"),
                launcher.EmptyDisk(volume="scratch", bytes=64 << 20),
                launcher.ClaimDisk(volume="claim", bytes=64 << 20),
                launcher.CloudInit(volume="nocloud", label="cidata", **cloud),
                launcher.EmptyDisk(volume="stick", bytes=64 << 20),
                launcher.CloudInit(volume="drive", label="config-2", **cloud),
            )
        }
    )
    (tmp_path / "root/disk").mkdir(parents=True)
    (tmp_path / "root/disk/image.raw").write_bytes(bytes(1 << 20))
    with pod(guest, wanted, images | {"root": tmp_path / "root"}, claims=["claim"]) as running:
        running.start_guest()
        running.wait_for_line("GUEST READY")
        assert sorted(running.virsh("domblklist", running.domain).split()[::2]) == [
            "sda",
            "sdb",
            "sdc",
            "sdd",
            "vda",
            "vdb",
        ]
        running.stop()
        assert running.end() == (0, "ShutdownRequested")


def test_crash_is_told(images: dict[str, Path]) -> None:
    guest = vmi()
    with pod(guest, request(guest), images) as running:
        running.start_guest()
        running.wait_for_line("GUEST READY")
        os.kill(running.pids("qemu")[0], signal.SIGKILL)
        assert running.end() == (1, "Crashed")


def test_panic_is_told(images: dict[str, Path]) -> None:
    guest = vmi("do=panic", panicDevices=[{"model": "isa"}])
    with pod(guest, request(guest), images) as running:
        running.start_guest()
        assert running.end() == (1, "Panicked")


def test_sigterm_presses_the_power_button(images: dict[str, Path]) -> None:
    guest = vmi()
    with pod(guest, request(guest), images) as running:
        running.start_guest()
        running.wait_for_line("GUEST READY")
        running.stop()
        assert running.end() == (0, "ShutdownRequested")
        assert "GUEST POWER BUTTON" in running.console()


def test_a_deaf_guest_is_destroyed_after_its_grace(images: dict[str, Path]) -> None:
    guest = vmi("do=deaf", grace=2)
    with pod(guest, request(guest), images) as running:
        running.start_guest()
        running.wait_for_line("GUEST UP")
        running.stop()
        assert running.end() == (1, "Destroyed")


def test_destroyed_by_somebody_else(images: dict[str, Path]) -> None:
    guest = vmi("do=deaf")
    with pod(guest, request(guest), images) as running:
        running.start_guest()
        running.virsh("destroy", running.domain)
        assert running.end() == (1, "Destroyed")


def test_without_a_guest_sigterm_ends_at_once(images: dict[str, Path]) -> None:
    guest = vmi()
    with pod(guest, request(guest), images) as running:
        running.wait_for_libvirt()
        running.stop()
        assert running.end(20) == (1, "Stopped")


def test_libvirtd_comes_back_and_finds_the_guest(images: dict[str, Path]) -> None:
    guest = vmi()
    with pod(guest, request(guest), images) as running:
        running.start_guest()
        running.wait_for_line("GUEST READY")
        qemu, daemon = running.pids("qemu"), running.pids("libvirtd")
        os.kill(daemon[0], signal.SIGKILL)
        until(running, lambda: running.pids("libvirtd") not in ([], daemon), "new libvirtd")
        running.wait_for_libvirt()
        assert running.virsh("domstate", running.domain) == "running"
        assert running.pids("qemu") == qemu
        running.stop()
        assert running.end() == (0, "ShutdownRequested")


def test_a_hanging_libvirtd_cannot_hold_the_pod(images: dict[str, Path]) -> None:
    guest = vmi(grace=1)
    with pod(guest, request(guest), images) as running:
        running.start_guest()
        os.kill(running.pids("libvirtd")[0], signal.SIGSTOP)
        running.stop()
        assert running.end() == (1, "Destroyed")


def test_a_start_that_failed_can_be_tried_again(images: dict[str, Path]) -> None:
    guest = vmi("do=poweroff")
    with pod(guest, request(guest), images) as running:
        running.wait_for_libvirt()
        initrd = running.folder / "hostler/images/kernel-boot/initrd"
        initrd.rename(initrd.with_name("away"))
        with pytest.raises(AssertionError, match="initrd"):
            running.start_guest()
        initrd.with_name("away").rename(initrd)
        running.start_guest()
        assert running.end() == (0, "Shutdown")


def test_what_cannot_be_prepared_is_told(images: dict[str, Path]) -> None:
    guest = vmi()
    with pod(guest, request(guest).model_copy(update={"boot": launcher.Boot(kernel="/away")}), images) as running:
        assert running.end() == (64, "PrepareFailed")
        assert "volume kernel-boot: the image has no file /away" in running.errors.read_text()


def test_reboot_policy_terminate_ends_the_pod(images: dict[str, Path]) -> None:
    raw = vmi("do=reboot").model_dump(by_alias=True, exclude_none=True)
    raw["spec"]["domain"]["rebootPolicy"] = "Terminate"
    guest = VirtualMachineInstance.model_validate(raw)
    with pod(guest, request(guest), images) as running:
        running.start_guest()
        assert running.end() == (0, "Shutdown")


def test_small_and_quiet(images: dict[str, Path]) -> None:
    """What PID 1 costs every guest: at most 10 MB, and no time while nothing happens."""
    guest = vmi("do=deaf")
    with pod(guest, request(guest), images) as running:
        running.start_guest()
        running.wait_for_line("GUEST UP")
        pid = running.pid1()
        # of libvirt's dead probes it forgets the last some seconds later: more of them on a slow machine
        assert any(woken(pid, 3) <= 3 for _ in range(10))
        assert pss_kib(pid) < 10_000


def woken(pid: int, seconds: float) -> int:
    before = wakeups(pid)
    time.sleep(seconds)
    return wakeups(pid) - before


def wakeups(pid: int) -> int:
    """How often a process has slept: one that waits for nothing but events does not wake up by itself."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("voluntary_ctxt_switches")).split()[1])


def pss_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1])
