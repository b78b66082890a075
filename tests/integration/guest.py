"""A guest for tests: Debian's cloud kernel and an initramfs of one busybox, which ends as its command line tells.

do=poweroff, do=panic, do=reboot: at once; do=deaf: lives, and hears no power button; nothing: lives until somebody
presses the power button.
"""

import gzip
import shutil
import subprocess
from pathlib import Path

CACHE = Path.home() / ".cache" / "hostler" / "test-guest"
KERNEL = "linux-image-cloud-amd64"
MODULES = ("evdev", "button", "pvpanic", "pvpanic-mmio")  # in the order of their needs
INIT = f"""#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
export PATH=/bin
/bin/busybox --install -s /bin
for module in {" ".join(MODULES)}; do insmod /modules/$module.ko; done
echo "GUEST UP"
for word in $(cat /proc/cmdline); do case $word in
    do=poweroff) poweroff -f ;;
    do=panic) echo c >/proc/sysrq-trigger ;;
    do=reboot) reboot -f ;;
    do=deaf) while :; do sleep 1000; done ;;
esac; done
while [ ! -e /dev/input/event0 ]; do sleep 0.1; done
button=$(sed -n '/Power Button/,/^$/s/.*\\(event[0-9]*\\).*/\\1/p' /proc/bus/input/devices)
echo "GUEST READY"
dd if=/dev/input/$button of=/dev/null bs=24 count=1 2>/dev/null
echo "GUEST POWER BUTTON"
poweroff -f
"""


def files(folder: Path = CACHE) -> Path:
    """The folder with vmlinuz and initrd, made from Debian's packages on first use."""
    done = folder / "init"  # written last, and compared: another guest makes another folder content
    if not done.exists() or done.read_text() != INIT:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        build(folder)
        done.write_text(INIT)
    return folder


def build(folder: Path) -> None:
    root = folder / "packages"
    for package in (depends(KERNEL), "busybox-static"):
        run("apt-get", "download", "-q", package, cwd=folder)
    for file in folder.glob("*.deb"):
        run("dpkg", "-x", str(file), str(root), cwd=folder)
        file.unlink()
    shutil.copy(next(root.glob("boot/vmlinuz-*")), folder / "vmlinuz")
    (folder / "initrd").write_bytes(gzip.compress(initramfs(folder / "tree", root), 1))
    for name in ("packages", "tree"):
        shutil.rmtree(folder / name)


def initramfs(tree: Path, root: Path) -> bytes:
    for name in ("bin", "modules", "proc", "dev"):
        (tree / name).mkdir(parents=True)
    busybox = shutil.copy(next(root.glob("**/bin/busybox")), tree / "bin")
    for name in MODULES:
        shutil.copy(next(root.glob(f"**/{name}.ko")), tree / "modules")
    (tree / "init").write_text(INIT)
    (tree / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(tree)) for path in [tree, *sorted(tree.rglob("*"))])
    command = [busybox, "cpio", "-o", "-H", "newc"]
    return subprocess.run(command, cwd=tree, input=names.encode(), capture_output=True, check=True).stdout


def depends(package: str) -> str:
    """The package of this release that a metapackage stands for."""
    lines = run("apt-cache", "depends", package, cwd=Path("/")).splitlines()
    return next(line.split()[-1] for line in lines if "Depends: linux-image" in line)


def run(*command: str, cwd: Path) -> str:
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout
