"""A second witness: vcsim, VMware's own simulator, must see in us the client that ours sees.

Built once from the Go module proxy, into the cache; skipped where there is no Go or no proxy.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from v2v.http import Mark
from v2v.sources_vmware import basic, web_source
from v2v.tls import fingerprint
from v2v.vsphere import driver, files, inventory
from v2v.vsphere.power import off
from v2v.vsphere.session import Login, session

VERSION = "v0.46.3"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hostler" / "vcsim"
SECONDS = 400  # for the build, on a machine that has other things to do


@pytest.fixture(scope="module")
def program():
    path = CACHE / "vcsim"
    if path.exists():
        return path
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        pytest.skip("vcsim is not built: there is no Go compiler (golang-go)")
    CACHE.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [go, "install", "-p", "1", f"github.com/vmware/govmomi/vcsim@{VERSION}"],
        env=os.environ | {"GOBIN": str(CACHE)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"vcsim cannot be built: {done.stderr[-300:]}")
    return path


@pytest.fixture
def vcsim(program, tmp_path):
    """(login, folder of its datastore) of a vCenter with a few machines."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    options = ["-l", "127.0.0.1:0", "-username", "user", "-password", "secret", "-vm", "3", "-api-version", "8.0.0.1"]
    process = subprocess.Popen(
        [program, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        port = int(re.findall(r"127\.0\.0\.1:(\d+)", said)[0])
        url = f"https://127.0.0.1:{port}/sdk"
        yield Login(url, "user", "secret", fingerprint("127.0.0.1", port)), tmp_path
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def test_inventory_and_power(vcsim):
    login, _ = vcsim
    with session(login) as opened:
        assert "vCenter" in opened.product
        machines, count = inventory.machines(opened)
        assert count == len(machines) > 0
        first = machines[0]
        assert first.cpus >= 1
        assert first.power == "poweredOn"
        assert first.disks[0].file.startswith("[LocalDS_0]")
        assert re.fullmatch("([0-9a-f]{2}:){5}[0-9a-f]{2}", first.nics[0].mac)
        assert inventory.find(opened, first.uuid or first.instance_uuid) == first.id
        assert inventory.datacenter(opened, first.id) == "DC0"
        assert driver.drive(opened, first.id, off(60.0), pause=lambda _: time.sleep(0.2)) == "shut down"
        assert driver.drive(opened, first.id, off(10.0)) == "was off"


def test_a_disk_by_range(vcsim):
    login, folder = vcsim
    with session(login) as opened:
        machine = inventory.machines(opened)[0][0]
        center = inventory.datacenter(opened, machine.id)
    url = files.flat_url(login.url, machine.disks[0].file, center)
    name = machine.disks[0].file.partition("] ")[2].removesuffix(".vmdk") + "-flat.vmdk"
    flat = next(path for path in folder.rglob("*-flat.vmdk") if str(path).endswith(name))
    data = os.urandom(3 << 20)
    flat.write_bytes(data)
    source = web_source(url, basic(login.user, login.password), login.thumbprint)
    try:
        assert b"".join(source.chunks()) == data
        mark = source.mark
        assert b"".join(source.chunks(Mark(1 << 20, mark.validator, mark.total))) == data[1 << 20 :]
    finally:
        source.close()
