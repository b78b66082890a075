"""The disks of VMware's machines: a flat file on a vSphere's web server, or a VMDK within an OVA."""

from collections.abc import Iterator
from urllib.parse import unquote

from hostler.runtime.errors import Retry, Terminal
from v2v.credentials import login
from v2v.http import HttpSource, request_headers
from v2v.importing import Import
from v2v.job import CREDENTIALS
from v2v.ova import tar, vmdk
from v2v.sources_vmware import basic, web_source
from v2v.target import opened
from v2v.vsphere import files, inventory
from v2v.vsphere.session import Login, session
from v2v.work import Interrupted


class FlatFile(Import):
    """A raw disk as it lies on a datastore: read by HTTPS, from any byte on; nothing in it chooses how it is read."""

    def _source(self) -> HttpSource:
        wanted = self.job.vsphere
        assert wanted is not None  # work.make() has seen to it
        user, password = login(CREDENTIALS)
        try:
            with session(Login(wanted.url, user, password, wanted.thumbprint)) as opened_session:
                machine = inventory.find(opened_session, wanted.uuid)
                center = inventory.datacenter(opened_session, machine)
        except Retry as error:
            raise Interrupted(str(error)) from error
        url = files.flat_url(wanted.url, wanted.file, center)
        return web_source(url, basic(user, password), wanted.thumbprint)

    def _begin(self, source: HttpSource) -> None:
        self.tell(raw=False, offset=0, percent=None, doing="reading the disk from vSphere")
        with opened(self.job.target, self.job.size) as target:
            target.start()
            self._pour(source.chunks(), target, source)
            target.finish()


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
