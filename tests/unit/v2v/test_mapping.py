"""A source's machine becomes a VirtualMachine that the API knows."""

from hostler.api.cdi import DataVolume
from hostler.api.imports import ImportMaps, SourceDisk, SourceNic
from hostler.api.kubevirt.vm import VirtualMachine
from tests.unit.v2v import made
from v2v import mapping

NO_MAPS = ImportMaps()


def test_a_virtual_machine_is_the_same_machine():
    body = mapping.virtual_machine(made.machine(), "web", NO_MAPS, start=True)
    vm = VirtualMachine.model_validate(body)
    assert vm.spec.run_strategy == "Always"
    spec = vm.spec.template.spec
    assert spec is not None
    domain = spec.domain
    assert (domain.cpu.sockets, domain.cpu.cores, domain.cpu.threads) == (2, 2, 1)
    assert domain.memory.guest == "2048Mi"
    assert domain.firmware.uuid == "56eabb11-0000-4000-8000-0000000000aa"
    assert [each.mac_address for each in domain.devices.interfaces] == ["00:50:56:aa:bb:cc"]
    assert [each.data_volume.name for each in spec.volumes] == ["web-disk0"]
    assert domain.devices.disks[0].boot_order == 1
    assert body["metadata"]["annotations"]["import.hostler.io/source-id"] == "vm-1"


def test_what_a_source_says_wrongly_is_left_out():
    strange = made.machine(cpus=5, cores_per_socket=2, uuid="x", nics=(SourceNic(mac="<evil>", network="n"),))
    spec = mapping.virtual_machine(strange, "web", NO_MAPS, start=False)["spec"]
    domain = spec["template"]["spec"]["domain"]
    assert domain["cpu"] == {"sockets": 5, "cores": 1, "threads": 1}
    assert "uuid" not in domain["firmware"]
    assert "macAddress" not in domain["devices"]["interfaces"][0]
    assert spec["runStrategy"] == "Halted"


def test_no_nic_is_no_network():
    devices = mapping.virtual_machine(made.machine(nics=()), "web", NO_MAPS, start=False)["spec"]["template"]["spec"]
    assert devices["networks"] == []
    assert devices["domain"]["devices"]["autoattachPodInterface"] is False


def test_a_volume_is_as_large_as_its_disk_and_reads_from_vsphere():
    machine = made.machine(instance_uuid="5012", disks=(SourceDisk(key="1", file="[a] x/x.vmdk", bytes=10**7 + 1),))
    body = mapping.data_volume(made.source(), machine, machine.disks[0], "web-disk0", NO_MAPS)
    volume = DataVolume.model_validate(body)
    assert body["spec"]["storage"]["resources"]["requests"]["storage"] == "10Mi"
    assert volume.spec.source is not None
    vddk = volume.spec.source.vddk
    assert vddk is not None
    assert (vddk.url, vddk.uuid, vddk.backing_file, vddk.secret_ref) == ("https://vc/sdk", "5012", "[a] x/x.vmdk", "vc")


def test_storage_is_mapped_by_datastore():
    wanted = [{"source": "fast", "storageClass": "nvme"}, {"source": "", "storageClass": "hdd"}]
    maps = ImportMaps.model_validate({"storage": wanted})
    disks = [SourceDisk(key="1", file="[x] a.vmdk", bytes=5, datastore=store) for store in ("fast", "slow")]
    found = [
        mapping.data_volume(made.source(), made.machine(), disk, "d", maps)["spec"]["storage"]["storageClassName"]
        for disk in disks
    ]
    assert found == ["nvme", "hdd"]


def test_a_disk_of_an_ova_is_its_member():
    disk = SourceDisk(key="d", file="x-disk1.vmdk", bytes=5)
    body = mapping.data_volume(made.source(ova=True), made.machine(), disk, "d", NO_MAPS)
    assert body["spec"]["source"] == {"http": {"url": "https://web/x.ova#x-disk1.vmdk"}}
