"""What an import asks of its source: the inventory of a vSphere or an OVA, and power."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager

import urllib3

from hostler.api.imports import SourceMachine
from hostler.runtime.errors import Retry, Terminal
from v2v import tls
from v2v.http import TIMEOUT, HttpSource, SourceFailed, tls_context
from v2v.importpod import Job
from v2v.ova import ovf, tar
from v2v.vsphere import driver, inventory
from v2v.vsphere.power import SUSPENDED, off
from v2v.vsphere.session import Login, session

AGAIN = 15.0
Found = tuple[str, list[SourceMachine], int]  # the product, machines, and how many there are


class PinnedSource(HttpSource):
    """A file on the one server that has the certificate of the thumbprint."""

    def __init__(self, url: str, headers: dict[str, str], thumbprint: str) -> None:
        super().__init__(url, headers)
        self._pool = urllib3.PoolManager(
            cert_reqs="CERT_NONE", assert_fingerprint=tls.plain(thumbprint), timeout=TIMEOUT, retries=False
        )


def web_source(url: str, headers: dict[str, str], thumbprint: str) -> HttpSource:
    """How to read a file; ValueError for what is no thumbprint."""
    if thumbprint and url.startswith("https://"):
        return PinnedSource(url, headers, thumbprint)
    return HttpSource(url, headers, tls_context(None, insecure=False))


def basic(user: str, password: str) -> dict[str, str]:
    """The header of a login by name and password."""
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


def look(job: Job, credentials: tuple[str, str]) -> Found:
    """What the source has."""
    if job.ova:
        machine = machine_of_ova(job, credentials)
        return "OVA", [machine], 1
    with session(Login(job.url, *credentials, job.thumbprint)) as opened:
        machines, count = inventory.machines(opened)
        return opened.product, machines, count


def machine_of_ova(job: Job, credentials: tuple[str, str]) -> SourceMachine:
    """The description is the first member by the standard: not much of the file is read."""
    with reading(job.url, credentials, job.thumbprint) as source:
        stream = tar.Stream(source.chunks())
        for member in tar.members(stream):
            if member.name.lower().endswith(".ovf"):
                if member.size > ovf.LARGEST:
                    raise Terminal("OVFNotSupported", f"the OVF has {member.size} bytes")
                return ovf.parse(stream.exactly(member.size), job.url)
    raise Terminal("OVFNotSupported", "the archive has no .ovf")


@contextmanager
def reading(url: str, credentials: tuple[str, str], thumbprint: str) -> Iterator[HttpSource]:
    """A file on a web server; its errors are Retry and Terminal."""
    headers = basic(*credentials) if any(credentials) else {}
    try:
        source = web_source(url, headers, thumbprint)
    except ValueError as error:
        raise Terminal("ThumbprintInvalid", str(error)) from error
    try:
        yield source
    except SourceFailed as error:
        raise Retry(AGAIN, str(error)) from error
    finally:
        source.close()


def switch_off(job: Job, credentials: tuple[str, str]) -> str:
    """How the machine came to be off; one that could not be copied afterwards stays on."""
    with session(Login(job.url, *credentials, job.thumbprint)) as opened:
        machine = inventory.look(opened, job.machine)
        if machine.concerns:  # since the inventory was listed
            raise Terminal("NotImportable", "; ".join(machine.concerns))
        outcome = driver.drive(opened, machine.id, off(job.patience))
    if outcome == SUSPENDED:
        text = "it is suspended: part of its state is in memory; resume it and shut it down in vSphere"
        raise Terminal("Suspended", text)
    return outcome
