"""The disks of VMware's machines: a flat file on a vSphere's web server, or a VMDK within an OVA."""

from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from hostler.api.imports import SourceMachine
from hostler.runtime.errors import Retry, Terminal
from v2v.credentials import login
from v2v.http import HttpSource, request_headers
from v2v.importing import Import
from v2v.job import CREDENTIALS, VSphere
from v2v.ova import tar, vmdk
from v2v.range import Mark
from v2v.sources_vmware import basic, web_source
from v2v.target import opened
from v2v.vsphere import files, inventory
from v2v.vsphere.power import Power
from v2v.vsphere.session import Login, session
from v2v.work import Interrupted


class FlatFile(Import):
    """A raw disk as it lies on a datastore: read by HTTPS, from any byte on; nothing in it chooses how it is read."""

    _capacity = 0  # bytes of the disk, as vSphere tells

    @property
    def _wanted(self) -> VSphere:
        assert self.job.vsphere is not None  # work.make() has seen to it
        return self.job.vsphere

    def _once(self, mark: Mark) -> None:
        super()._once(mark)
        self._look()  # what was written to the disk meanwhile is not in the copy

    def _source(self) -> HttpSource:
        wanted, center = self._wanted, self._look()
        url = files.flat_url(wanted.url, wanted.file, center)
        return web_source(url, basic(*login(CREDENTIALS)), wanted.thumbprint)

    def _look(self) -> str:
        """The datacenter of the machine, which is as it must be while its disk is copied."""
        wanted = self._wanted
        try:
            with session(Login(wanted.url, *login(CREDENTIALS), wanted.thumbprint)) as opened_session:
                machine = inventory.look(opened_session, wanted.uuid)
                center = inventory.datacenter(opened_session, machine.id)
        except Retry as error:
            raise Interrupted(str(error)) from error
        self._capacity = capacity(machine, wanted.file)
        if machine.power != Power.OFF.value:
            self.tell(raw=False, offset=0, percent=None)  # nobody goes on from what was there before it ran
            raise Interrupted(f"{machine.name} is {machine.power}: shut it down, then its disk is copied anew")
        return center

    def _begin(self, source: HttpSource) -> None:
        self.tell(raw=False, offset=0, percent=None, doing="reading the disk from vSphere")
        with opened(self.job.target, self.job.size) as target:
            target.start()
            self._pour(source.chunks(), target, source)
            target.finish()

    def _counted(self, stream: Iterable[bytes], source: HttpSource) -> Iterator[bytes]:
        """A file of another length is not the disk."""
        for piece in super()._counted(stream, source):
            self._compare(source.mark.total)
            yield piece
        self._compare(source.mark.offset)

    def _compare(self, length: int | None) -> None:
        if length is not None and length != self._capacity:
            text = f"{self._wanted.file} has {length} bytes, and the disk {self._capacity}: it was changed meanwhile"
            raise Terminal("DiskChanged", text)


def capacity(machine: SourceMachine, file: str) -> int:
    """Bytes of a disk; Terminal if its file is not, or not all of, what the machine has on it now."""
    if inventory.SNAPSHOTS in machine.concerns:
        raise Terminal("NotImportable", f"{machine.name}: {inventory.SNAPSHOTS}")
    disk = next((each for each in machine.disks if each.file == file), None)
    if disk is None:
        there = ", ".join(each.file for each in machine.disks) or "none"
        raise Terminal("DiskChanged", f"{machine.name} has no disk {file!r} any more; its disks: {there}")
    if disk.concern:
        raise Terminal("DiskNotReadable", f"disk {file}: {disk.concern}")
    return disk.bytes


class OvaMember(Import):
    """URL#MEMBER: one disk of an OVA, unpacked as it streams by; an interruption begins it anew."""

    def _source(self) -> HttpSource:
        url, _, _ = self._http.url.partition("#")
        headers = request_headers(self._http.headers, None)
        if self._http.credentials:
            headers |= basic(*login(CREDENTIALS))
        return web_source(url, headers, self._http.thumbprint)

    def _begin(self, source: HttpSource) -> None:
        self.tell(raw=False, offset=0, percent=None, doing="reading the OVA")
        with opened(self.job.target, self.job.size) as target:
            target.start()
            for piece in vmdk.raw(self._member(source)):
                target.write(piece)
            target.finish()

    def _member(self, source: HttpSource) -> Iterator[bytes]:
        """The bytes of the disk in the archive."""
        name = unquote(self._http.url.partition("#")[2])
        stream = tar.Stream(self._counted(source.chunks(), source))
        for member in tar.members(stream):
            if member.name == name:
                yield from stream.pieces(member.size)
                return
        raise Terminal("SourceCorrupt", f"the archive has no {name!r}")
