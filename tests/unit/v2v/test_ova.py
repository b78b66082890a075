"""OVA files, honest and hostile. QEMU is the witness of the VMDK (tests/integration/test_ova.py)."""

import io
import struct
import tarfile
import zlib

import pytest

from hostler.runtime.errors import Terminal
from v2v.ova import ovf, tar, vmdk

OVF = """<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="r" xmlns:vmw="v">
  <References><File ovf:href="{href}" ovf:id="file1"/></References>
  <DiskSection><Disk ovf:capacity="{capacity}" ovf:capacityAllocationUnits="byte * 2^20" ovf:diskId="vmdisk1"
    ovf:fileRef="file1"/></DiskSection>
  <VirtualSystem ovf:id="legacy"><Name>legacy</Name>
    <OperatingSystemSection ovf:id="96" vmw:osType="debian12_64Guest"/>
    <VirtualHardwareSection>
      <Item><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>{cpus}</rasd:VirtualQuantity></Item>
      <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:ResourceType>4</rasd:ResourceType>
        <rasd:VirtualQuantity>512</rasd:VirtualQuantity></Item>
      <Item><rasd:HostResource>ovf:/disk/vmdisk1</rasd:HostResource><rasd:ResourceType>17</rasd:ResourceType></Item>
      <Item><rasd:Connection>VM Network</rasd:Connection><rasd:ResourceType>10</rasd:ResourceType></Item>
      <vmw:Config vmw:key="firmware" vmw:value="bios"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>"""


def described(href="legacy-disk1.vmdk", capacity="96", cpus="2"):
    return OVF.format(href=href, capacity=capacity, cpus=cpus).encode()


def test_a_description():
    found = ovf.parse(described(), "https://web/x.ova")
    assert (found.name, found.cpus, found.memory_mib, found.firmware) == ("legacy", 2, 512, "bios")
    assert [(disk.file, disk.bytes) for disk in found.disks] == [("legacy-disk1.vmdk", 96 << 20)]
    assert [nic.network for nic in found.nics] == ["VM Network"]
    assert found.id == ovf.parse(described(), "https://web/x.ova").id


BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<Envelope>&b;</Envelope>"""
FILE = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><Envelope>&a;</Envelope>"""


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(BOMB, id="entities that grow"),
        pytest.param(FILE, id="an entity that is a file"),
        pytest.param(b"<Envelope>" + b" " * ovf.LARGEST, id="too large"),
        pytest.param(b"<Envelope/>", id="no machine"),
        pytest.param(b"\0", id="no XML"),
        pytest.param(described(href="../../etc/passwd"), id="a file outside"),
        pytest.param(described(href="http://web/x.vmdk"), id="a file elsewhere"),
        pytest.param(described(capacity="9" * 18), id="a disk larger than any"),
        pytest.param(described(capacity="-1"), id="a negative size"),
        pytest.param(described(cpus="4096"), id="too many CPUs"),
        pytest.param(described().replace(b"byte * 2^20", b"byte * 9^999"), id="a unit that explodes"),
    ],
)
def test_hostile_descriptions(text):
    with pytest.raises(Terminal):
        ovf.parse(text, "x")


def archive(**members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return out.getvalue()


def in_pieces(data, size=1000):
    return (data[at : at + size] for at in range(0, len(data), size))


def test_members_stream_by():
    data = archive(a=b"x" * 700, b=b"y" * 10)
    stream = tar.Stream(in_pieces(data))
    found = [
        (member.name, stream.exactly(member.size) if member.name == "b" else None) for member in tar.members(stream)
    ]
    assert found == [("a", None), ("b", b"y" * 10)]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"garbage" * 200, id="no tar"),
        pytest.param(archive(a=b"x" * 700)[:900], id="cut"),
        pytest.param(archive(**{f"m{n}": b"" for n in range(300)}), id="too many"),
        pytest.param(b"", id="empty"),
    ],
)
def test_hostile_archives(data):
    stream = tar.Stream(in_pieces(data))
    with pytest.raises(Terminal):
        list(tar.members(stream))


def header(capacity=256, grain=128, overhead=1, flags=3 << 16):
    packed = vmdk.HEADER.pack(b"KDMV", 3, flags, capacity, grain, 0, 0, 512, 0, vmdk.AT_END, overhead, 0, b"\n \r\n", 1)
    return packed.ljust(512, b"\0")


def grain(sector, data):
    packed = zlib.compress(data)
    whole = struct.pack("<QI", sector, len(packed)) + packed
    return whole + bytes(-len(whole) % 512)


END = bytes(512)
FULL = b"ab" * 32768  # 128 sectors


@pytest.mark.parametrize("size", [1, 511, 512, 4096, 10**6])
def test_a_disk_in_pieces_of_any_size(size):
    data = header() + grain(128, FULL) + END
    assert b"".join(vmdk.raw(in_pieces(data, size))) == bytes(65536) + FULL


def test_a_disk_that_ends_within_a_grain():
    assert b"".join(vmdk.raw([header(capacity=130) + grain(128, FULL) + END])) == bytes(65536) + FULL[:1024]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"# Disk DescriptorFile".ljust(512), id="a descriptor, which names other files"),
        pytest.param(header(flags=0) + END, id="not stream-optimised"),
        pytest.param(header(grain=1 << 40) + END, id="giant grains"),
        pytest.param(header(capacity=1 << 60) + END, id="a giant disk"),
        pytest.param(header(overhead=1 << 40) + END, id="a giant head"),
        pytest.param(header() + grain(128, FULL) + grain(0, FULL) + END, id="backwards"),
        pytest.param(header() + grain(4096, FULL) + END, id="outside"),
        pytest.param(header() + grain(0, b"short") + END, id="a short grain"),
        pytest.param(header() + grain(0, FULL), id="no end"),
        pytest.param(header() + struct.pack("<QI", 0, 1 << 31).ljust(512, b"x"), id="a giant packed grain"),
        pytest.param(header() + struct.pack("<QII", 0, 0, 77).ljust(512, b"\0"), id="an unknown marker"),
        pytest.param(header() + struct.pack("<QI", 0, 100).ljust(512, b"x") + END, id="not deflated"),
    ],
)
def test_hostile_disks(data):
    with pytest.raises(Terminal):
        for _ in vmdk.raw([data]):
            pass


def test_a_bomb_of_zeros_is_cut_at_the_size_of_a_grain():
    data = header() + grain(0, bytes(50 << 20)) + END
    assert sum(map(len, vmdk.raw([data]))) == 256 * 512
