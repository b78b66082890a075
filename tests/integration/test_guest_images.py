"""The guests as their users meet them: booted in QEMU without KVM, `tiny` by its disk and by its kernel."""

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from cluster import images
from controllers.job_script import user_data
from hostler.api import launcher
from hostler.api.batch import EnvVar
from tests.integration.apiserver import free_ports

ARGUMENTS = "console=ttyS0 quiet mitigations=off cryptomgr.notests audit=0 no_timer_check tsc=reliable"
UP = re.compile(r"hostler-guest: (\S+) is up, address (\S+), (\d+\.\d+) s after kernel start\r?\n")
BOOT_SECONDS = 180  # on a machine that does much else; alone it is 3
PROGRAMS = ("qemu-system-x86_64", "qemu-img", "buildah", "mmdebstrap", "xorriso")

absent = [name for name in PROGRAMS if not shutil.which(name)]
pytestmark = pytest.mark.skipif(bool(absent), reason=f"not installed: {', '.join(absent)}")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return files("tiny", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return files("debian", tmp_path_factory.mktemp("debian"))


def files(name: str, folder: Path) -> Path:
    """The files of an image, taken out of its archive."""
    archive = images.build([name])[name].tar
    buildah = ["buildah", f"--root={folder}/store", f"--runroot={folder}/run"]

    def run(*command: str) -> str:
        return subprocess.run([*buildah, *command], check=True, capture_output=True, text=True).stdout.strip()

    container = run("from", f"oci-archive:{archive}")
    shutil.copytree(run("mount", container), folder / "files")
    run("rm", container)
    run("rmi", "--all")
    return folder / "files"


class Guest:
    """A running QEMU, its serial console and its monitor."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.folder = folder

    @property
    def console(self) -> str:
        return (self.folder / "console").read_text(errors="replace")

    def wait(self, pattern: re.Pattern[str] | str, seconds: float = BOOT_SECONDS) -> re.Match[str]:
        """What the console said that matches `pattern`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.console):
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"the guest never said {pattern}, but: {self.console}")

    def command(self, name: str, **arguments: object) -> None:
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self.folder / "monitor"))
            lines = monitor.makefile("rw")
            for each in ({"execute": "qmp_capabilities"}, {"execute": name, "arguments": arguments}):
                lines.write(json.dumps(each))
                lines.flush()
                while "return" not in (answer := json.loads(lines.readline())):
                    assert "error" not in answer, answer


@contextmanager
def boot(folder: Path, *options: str, memory: str = "96", accel: str = "tcg") -> Iterator[Guest]:
    command = [
        "qemu-system-x86_64",
        "-machine",
        "q35",
        "-accel",
        accel,
        "-m",
        memory,
        "-nodefaults",
        "-display",
        "none",
    ]
    console = ["-serial", f"file:{folder}/console", "-qmp", f"unix:{folder}/monitor,server=on,wait=off"]
    process = subprocess.Popen([*command, *console, "-no-reboot", *options])
    try:
        (folder / "console").touch()
        yield Guest(process, folder)
    finally:
        process.kill()
        process.wait()


def disk(tiny: Path) -> list[str]:
    return ["-drive", f"file={tiny}/disk/tiny.qcow2,if=virtio,snapshot=on"]


def seed(folder: Path, label: str, content: dict[str, str]) -> list[str]:
    """A disk for cloud-init."""
    for path, text in content.items():
        (folder / "seed" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "seed" / path).write_text(text)
    make = [
        "xorriso",
        "-as",
        "mkisofs",
        "-quiet",
        "-J",
        "-r",
        "-V",
        label,
        "-o",
        f"{folder}/seed.iso",
        f"{folder}/seed",
    ]
    subprocess.run(make, check=True)
    return ["-drive", f"file={folder}/seed.iso,if=virtio,format=raw,readonly=on"]


def kernel(tiny: Path, name: str, *arguments: str) -> list[str]:
    words = " ".join([ARGUMENTS, *arguments])
    return ["-kernel", f"{tiny}/boot/{name}", "-initrd", f"{tiny}/boot/initrd", "-append", words]


def nic(*options: str) -> list[str]:
    return ["-netdev", ",".join(["user,id=net", *options]), "-device", "virtio-net-pci,netdev=net"]


@pytest.mark.parametrize(
    "way",
    [pytest.param("disk", id="disk"), pytest.param("vmlinuz", id="kernel"), pytest.param("vmlinux", id="PVH kernel")],
)
def test_boots_in_96_mib(tiny: Path, tmp_path: Path, way: str) -> None:
    source = disk(tiny) if way == "disk" else kernel(tiny, way)
    with boot(tmp_path, *source) as guest:
        name, address, _ = guest.wait(UP).groups()
        assert (name, address) == ("tiny", "none")
        assert guest.console.index("hostler-guest: userland") < guest.console.index("is up")
        guest.wait("tiny:~# ")  # somebody can type here
        assert len(UP.findall(guest.console)) == 1


def test_takes_its_name_and_address_from_dhcp_and_serves_http(tiny: Path, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    network = nic("hostname=hello-7", "net=10.9.8.0/24", "dhcpstart=10.9.8.15", f"hostfwd=tcp:127.0.0.1:{port}-:80")
    with boot(tmp_path, *kernel(tiny, "vmlinux"), *network) as guest:
        name, address, _ = guest.wait(UP).groups()
        assert (name, address) == ("hello-7", "10.9.8.15")
        with urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
            assert answer.read() == b"hello-7\n"


def test_the_power_button_powers_off(tiny: Path, tmp_path: Path) -> None:
    with boot(tmp_path, *disk(tiny)) as guest:
        guest.wait(UP)
        guest.command("system_powerdown")
        assert guest.process.wait(timeout=BOOT_SECONDS) == 0
        assert "hostler-guest: powering off" in guest.console


def test_powers_off_as_its_kernel_is_told(tiny: Path, tmp_path: Path) -> None:
    with boot(tmp_path, *kernel(tiny, "vmlinux", "hostler.poweroff=1")) as guest:
        guest.wait("hostler-guest: powering off")
        assert guest.process.wait(timeout=BOOT_SECONDS) == 0


def test_panics_as_its_kernel_is_told(tiny: Path, tmp_path: Path) -> None:
    with boot(tmp_path, *kernel(tiny, "vmlinux", "hostler.panic=0", "panic=-1")) as guest:
        guest.wait("Kernel panic - not syncing: sysrq triggered crash")
        assert guest.process.wait(timeout=BOOT_SECONDS) == 0  # -no-reboot: QEMU ends where the machine would start anew


NO_CLOUD = ("cidata", {"meta-data": "instance-id: 1\nlocal-hostname: cloudy\n"})
CONFIG_DRIVE = ("config-2", {"openstack/latest/meta_data.json": '{"uuid": "1", "hostname": "drive"}'})


@pytest.mark.parametrize(
    ("label", "content", "name"),
    [pytest.param(*NO_CLOUD, "cloudy", id="NoCloud"), pytest.param(*CONFIG_DRIVE, "drive", id="ConfigDrive")],
)
def test_takes_its_name_from_a_config_disk(
    tiny: Path, tmp_path: Path, label: str, content: dict[str, str], name: str
) -> None:
    with boot(tmp_path, *disk(tiny), *seed(tmp_path, label, content)) as guest:
        assert guest.wait(UP).group(1) == name


SCRIPT = """\
echo "$WHO on $(hostname)"
echo "a result" >"$HOSTLER_RESULT"
"""
OF_DEBIAN = """\
echo "services and disk:" $(systemctl is-active ssh systemd-networkd) "$(findmnt -no SIZE /)"
"""


def ports(folder: Path) -> Iterator[str]:
    """The ports on which a guest says how it went."""
    yield from ("-device", "virtio-serial-pci")
    for file, name in (("exit", launcher.EXIT_PORT), ("result", launcher.RESULT_PORT)):
        yield from ("-chardev", f"file,id={file},path={folder}/{file}")
        yield from ("-device", f"virtserialport,chardev={file},name={name}")


@pytest.mark.parametrize(("image", "memory"), [("tiny", "96"), ("debian", "512")])
def test_runs_a_jobs_script(request: pytest.FixtureRequest, tmp_path: Path, image: str, memory: str) -> None:
    """The output on the console, the exit code and the result on their ports, then power-off.

    On a disk that is larger than its image, as a volume may be: Debian takes all of it.
    """
    files: Path = request.getfixturevalue(image)
    large = tmp_path / "large.qcow2"
    backing = ["-b", f"{files}/disk/{image}.qcow2", "-F", "qcow2"]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, large, "5G"], check=True)
    script = SCRIPT + (OF_DEBIAN if image == "debian" else "") + "exit 3\n"
    data = user_data(script, [EnvVar(name="WHO", value='it\'s "me" $HOME')])
    content = {"meta-data": "instance-id: 1\nlocal-hostname: worker\n", "user-data": data}
    options = ["-drive", f"file={large},if=virtio", *seed(tmp_path, "cidata", content), *ports(tmp_path), *nic()]
    with boot(tmp_path, *options, "-cpu", "max", memory=memory) as guest:
        guest.wait('it\'s "me" [$]HOME on worker\r?\n', BOOT_SECONDS * 4)
        assert guest.process.wait(timeout=BOOT_SECONDS) == 0
        if image == "debian":
            *active, size = guest.wait("services and disk: (.*)\n").group(1).split()
            assert active == ["active", "active"]
            assert size.startswith("4.")
    assert (tmp_path / "exit").read_text() == "3\n"
    assert (tmp_path / "result").read_text() == "a result\n"
