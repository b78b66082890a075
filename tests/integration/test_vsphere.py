"""Our side of vSphere against the simulator, through the real pyVmomi, TLS and HTTP."""

import hashlib
import http.server
import threading
import time

import pytest

from hostler.runtime.disk_report import Report
from hostler.runtime.errors import Retry, Terminal
from tests.integration.vcenter import MIB, content, machine, put, uuid, vcenter
from v2v import vmware
from v2v.importpod import Job as ImportJob
from v2v.job import Job, VSphere
from v2v.simulator.machines import Disk, Inventory, Nic
from v2v.simulator.server import Faults
from v2v.sources_vmware import switch_off
from v2v.vsphere import driver, inventory
from v2v.vsphere.power import off
from v2v.vsphere.session import Login, session
from v2v.work import Interrupted

SIZE = 24 * MIB + 512


def test_an_inventory(tmp_path):
    given = machine(
        1,
        name="Web 1",
        cpus=4,
        cores_per_socket=2,
        memory_mib=1024,
        hostname="web",
        nics=(Nic(mac="00:50:56:aa:bb:cc"),),
    )
    put(tmp_path, "m1/m1-flat.vmdk", content(SIZE))
    with vcenter(tmp_path, given) as there, session(there.login()) as opened:
        assert opened.product.startswith("VMware vCenter Server 8")
        machines, count = inventory.machines(opened)
        assert count == 1
        found = machines[0]
        assert (found.name, found.cpus, found.cores_per_socket, found.memory_mib) == ("Web 1", 4, 2, 1024)
        assert (found.hostname, found.power, found.firmware) == ("web", "poweredOn", "bios")
        assert [(disk.file, disk.bytes, disk.concern) for disk in found.disks] == [
            ("[datastore1] m1/m1.vmdk", SIZE // 1024 * 1024 + SIZE % 1024, None)
        ]
        assert [(nic.mac, nic.network) for nic in found.nics] == [("00:50:56:aa:bb:cc", "VM Network")]
        assert inventory.find(opened, uuid(1).upper()) == "vm-1"
        assert inventory.datacenter(opened, "vm-1") == "DC0"


def test_hundreds_of_machines_come_in_pages_and_soon(tmp_path):
    with vcenter(tmp_path, *(machine(number) for number in range(450))) as there, session(there.login()) as opened:
        started = time.monotonic()
        machines, count = inventory.machines(opened)
        seconds = time.monotonic() - started
    assert (len(machines), count) == (450, 450)
    assert len({each.id for each in machines}) == 450
    assert seconds < 30
    assert not there.world.views, "the view was given back"


def test_what_cannot_be_imported_says_why(tmp_path):
    odd = machine(1, snapshot=True, disks=(Disk(file="m1/raw.vmdk", rdm=True),))
    with vcenter(tmp_path, odd, machine(2, template=True)) as there, session(there.login()) as opened:
        machines, _ = inventory.machines(opened)
    assert len(machines) == 1, "a template is no machine"
    assert "it has snapshots" in machines[0].concerns[0]
    assert "RawDiskMapping" in (machines[0].disks[0].concern or "")


@pytest.mark.parametrize(
    ("changed", "error", "reason"),
    [
        pytest.param({"password": "wrong"}, Terminal, "LoginRefused", id="password"),
        pytest.param({"thumbprint": "AB" * 32}, Terminal, "ThumbprintMismatch", id="thumbprint"),
        pytest.param({"thumbprint": "AB"}, Terminal, "ThumbprintInvalid", id="no thumbprint at all"),
        pytest.param({"thumbprint": ""}, Terminal, "CertificateUnknown", id="self-signed"),
        pytest.param({"url": "https://127.0.0.1:9/sdk"}, Retry, "", id="nobody there"),
    ],
)
def test_refusals(tmp_path, changed, error, reason):
    with vcenter(tmp_path) as there, pytest.raises(error) as said, session(there.login(**changed)):
        pass
    assert getattr(said.value, "reason", "") == reason
    if reason == "CertificateUnknown":
        assert there.thumbprint in str(said.value), "what to compare and to enter"


def test_every_connection_is_pinned(tmp_path):
    """pyVmomi alone would check the first one only."""
    with vcenter(tmp_path / "a") as there, vcenter(tmp_path / "b") as other, session(there.login()) as opened:
        opened.stub.DropConnections()
        opened.stub.port = other.server.server_address[1]
        with pytest.raises(OSError, match="the server shows a certificate"):
            opened.content.rootFolder.name  # noqa: B018 - asks the server


def test_something_else_than_a_vsphere_answers(tmp_path):
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    with pytest.raises(Retry), session(Login(f"https://127.0.0.1:{server.server_address[1]}/sdk", "u", "p", "AB" * 32)):
        pass
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        pytest.param({"power": "poweredOff"}, "was off", id="off"),
        pytest.param({}, "shut down", id="on"),
        pytest.param({"tools": False}, "switched off", id="without tools"),
        pytest.param({"power": "suspended"}, "suspended", id="suspended"),
    ],
)
def test_power(tmp_path, given, outcome):
    with vcenter(tmp_path, machine(1, **given)) as there, session(there.login()) as opened:
        assert driver.drive(opened, "vm-1", off(5.0), pause=lambda _: time.sleep(0.3)) == outcome
        assert driver.drive(opened, "vm-1", off(5.0)) == ("suspended" if outcome == "suspended" else "was off")


def test_power_of_a_machine_that_is_gone(tmp_path):
    with vcenter(tmp_path) as there, pytest.raises(Terminal, match="already been deleted"):  # noqa: SIM117
        with session(there.login()) as opened:
            driver.drive(opened, "vm-77", off(5.0))


@pytest.fixture
def credentials(tmp_path, monkeypatch):
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "user").write_text("administrator@vsphere.local\n")
    (folder / "password").write_text("password")
    monkeypatch.setattr(vmware, "CREDENTIALS", folder)
    return folder


def flat(there, target, monkeypatch, known=None, **more):
    """The work of a disk's worker, with its volume at `target`."""
    target.mkdir(exist_ok=True)
    place = {"url": there.url, "uuid": uuid(1), "file": "[datastore1] m1/m1.vmdk", "thumbprint": there.thumbprint}
    job = Job(uid="u", kind="import", size=SIZE, vsphere=VSphere(**(place | more)))
    monkeypatch.setattr(Job, "target", property(lambda _: target))
    return vmware.FlatFile(job, known or Report())


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_disk_comes_over_a_line_that_breaks(tmp_path, credentials, monkeypatch):
    put(tmp_path, "m1/m1-flat.vmdk", content(SIZE))
    faults = Faults(drop_every=5 * MIB)
    with vcenter(tmp_path, machine(1, power="poweredOff"), faults=faults) as there:
        flat(there, tmp_path / "volume", monkeypatch).make()
    copy = tmp_path / "volume" / "disk.img"
    assert sha256(copy) == hashlib.sha256(content(SIZE)).hexdigest()
    assert faults.drops >= 4
    assert copy.stat().st_blocks * 512 < 16 * MIB, "zeros take no room"


def test_another_worker_goes_on_where_the_first_was(tmp_path, credentials, monkeypatch):
    put(tmp_path, "m1/m1-flat.vmdk", content(SIZE))
    monkeypatch.setattr("v2v.importing.SYNC_BYTES", 4 * MIB)
    with vcenter(tmp_path, machine(1, power="poweredOff"), faults=Faults(drop_every=10 * MIB)) as there:
        first = flat(there, tmp_path / "volume", monkeypatch)
        monkeypatch.setattr("v2v.http.TRIES", 0)
        with pytest.raises(Interrupted):
            first.make()
        monkeypatch.setattr("v2v.http.TRIES", 6)
        known = first.report()
        assert 0 < known.offset < SIZE
        there.server.faults.drop_every = 0
        sent = count_bytes(there)
        flat(there, tmp_path / "volume", monkeypatch, known).make()
        assert sent() == SIZE - known.offset, "only the rest was read"
    assert sha256(tmp_path / "volume" / "disk.img") == hashlib.sha256(content(SIZE)).hexdigest()


def count_bytes(there):
    """How many bytes of disks the server was asked for from now on."""
    from v2v.simulator import folder

    asked = []
    original = folder.part

    def counted(*given):
        part = original(*given)
        asked.append(part.last - part.first + 1)
        return part

    folder.part = counted

    def total():
        folder.part = original
        return sum(asked)

    return total


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        pytest.param({"uuid": uuid(9)}, "VMNotFound", id="no such machine"),
        pytest.param({"file": "[datastore1] m1/other.vmdk"}, "DiskChanged", id="no such disk"),
        pytest.param({"file": "[datastore1] m1/gone.vmdk"}, "SourceRefused", id="no such file"),
    ],
)
def test_disks_that_are_not_there(tmp_path, credentials, monkeypatch, more, reason):
    put(tmp_path, "m1/m1-flat.vmdk", content(MIB))
    disks = (Disk(file="m1/m1-flat.vmdk"), Disk(file="m1/gone-flat.vmdk"))
    with vcenter(tmp_path, machine(1, power="poweredOff", disks=disks)) as there, pytest.raises(Terminal) as said:
        flat(there, tmp_path / "volume", monkeypatch, **more).make()
    assert said.value.reason == reason


def becomes(there, **changed):
    """Somebody changes the machine in vSphere."""
    there.world.inventory = Inventory(machines=(machine(1, **changed),))
    there.world.power["vm-1"] = changed.get("power", "poweredOff")


CHANGES = [
    pytest.param({"snapshot": True}, Terminal, "it has snapshots", id="snapshot"),
    pytest.param({"disks": (Disk(file="m1/m1-000001.vmdk"),)}, Terminal, "has no disk", id="another file"),
    pytest.param({"power": "poweredOn"}, Interrupted, "m1 is poweredOn", id="on"),
    pytest.param({"power": "suspended"}, Interrupted, "m1 is suspended", id="suspended"),
]


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(("changed", "error", "says"), CHANGES)
def test_a_disk_that_is_not_all_of_its_machines_data(tmp_path, monkeypatch, changed, error, says):
    """The inventory may be old: a copy would be, too."""
    put(tmp_path, "m1/m1-flat.vmdk", content(SIZE))
    with vcenter(tmp_path, machine(1, power="poweredOff")) as there:
        becomes(there, **changed)
        with pytest.raises(error, match=says):
            flat(there, tmp_path / "volume", monkeypatch).make()
    assert not (tmp_path / "volume" / "disk.img").exists()


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(("changed", "error", "says"), CHANGES)
def test_a_machine_that_changes_while_its_disk_is_copied(tmp_path, monkeypatch, changed, error, says):
    put(tmp_path, "m1/m1-flat.vmdk", content(SIZE))
    with vcenter(tmp_path, machine(1, power="poweredOff")) as there:
        work = flat(there, tmp_path / "volume", monkeypatch)
        source = work._source()
        last = source.chunks

        def chunks(mark=None):
            yield from last(mark)
            becomes(there, **changed)

        source.chunks = chunks
        monkeypatch.setattr(vmware, "web_source", lambda *_: source)
        monkeypatch.setattr("v2v.importing.SYNC_BYTES", 4 * MIB)
        with pytest.raises(error, match=says):
            work.make()
    if error is Interrupted:
        assert (work.report().raw, work.report().offset) == (False, 0), "another try begins at the first byte"


def test_a_file_that_is_not_as_long_as_its_disk(tmp_path, credentials, monkeypatch):
    put(tmp_path, "m1/m1-flat.vmdk", content(SIZE))
    with vcenter(tmp_path, machine(1, power="poweredOff")) as there:
        monkeypatch.setattr(there.world, "size", lambda _: SIZE - 512)
        with pytest.raises(Terminal) as said:
            flat(there, tmp_path / "volume", monkeypatch).make()
    assert said.value.reason == "DiskChanged"
    assert f"has {SIZE} bytes, and the disk {SIZE - 512}" in said.value.message


OFF = ImportJob(work="off", namespace="n", name="move", uid="u", machine=uuid(1), patience=5)


def test_the_very_machine_is_switched_off(tmp_path):
    """Its id may be another machine's by now, in another vCenter at least."""
    with vcenter(tmp_path, machine(7, id="vm-1"), machine(1, id="vm-9")) as there:
        job = OFF.model_copy(update={"url": there.url, "thumbprint": there.thumbprint})
        assert switch_off(job, (there.world.user, there.world.password)) == "shut down"
        assert (there.world.power_state("vm-1"), there.world.power_state("vm-9")) == ("poweredOn", "poweredOff")


@pytest.mark.parametrize(
    ("there_is", "wanted", "reason"),
    [
        pytest.param({"uuid": uuid(7)}, uuid(1), "VMNotFound", id="another machine with its id"),
        pytest.param({"uuid": ""}, "", "VMNotFound", id="nobody has no UUID"),
        pytest.param({"snapshot": True}, uuid(1), "NotImportable", id="a snapshot since"),
    ],
)
def test_who_stays_on(tmp_path, there_is, wanted, reason):
    with vcenter(tmp_path, machine(1, **there_is)) as there:
        job = OFF.model_copy(update={"url": there.url, "thumbprint": there.thumbprint, "machine": wanted})
        with pytest.raises(Terminal) as said:
            switch_off(job, (there.world.user, there.world.password))
        assert there.world.power_state("vm-1") == "poweredOn"
    assert said.value.reason == reason


def test_a_guest_cannot_choose_how_its_disk_is_read(tmp_path, credentials, monkeypatch):
    """A raw disk may begin like a qcow2 image with a backing file: it is copied, not opened."""
    evil = (b"QFI\xfb" + b"\0\0\0\3" + content(SIZE))[: SIZE // 512 * 512]
    put(tmp_path, "m1/m1-flat.vmdk", evil)
    with vcenter(tmp_path, machine(1, power="poweredOff")) as there:
        flat(there, tmp_path / "volume", monkeypatch).make()
    assert sha256(tmp_path / "volume" / "disk.img") == hashlib.sha256(evil).hexdigest()
