"""A second witness: vcsim, VMware's own simulator, must see in us the client that ours sees.

Skipped where there is no Go or no module proxy to build it.
"""

import os
import re
import signal
import subprocess
import time

import pytest

from tests.integration import vcsim_program
from v2v.http import Mark
from v2v.sources_vmware import basic, web_source
from v2v.tls import fingerprint
from v2v.vsphere import driver, files, inventory
from v2v.vsphere.power import off
from v2v.vsphere.session import Login, session


@pytest.fixture(scope="module")
def program():
    try:
        return vcsim_program.program()
    except vcsim_program.Unavailable as why:
        pytest.skip(str(why))


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
        assert inventory.look(opened, first.uuid or first.instance_uuid) == first
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
