"""The work of one kind of job each, and what can be told of it at any moment."""

import asyncio
import logging
from typing import Any

from hostler.runtime.disk_report import Report
from hostler.runtime.errors import Error
from v2v.job import Job
from v2v.target import opened

log = logging.getLogger(__name__)


class Interrupted(Error):
    """Not done, and another try may help."""


class Work:
    """Runs in a thread of its own; `report` may be asked for meanwhile."""

    def __init__(self, job: Job, known: Report) -> None:
        self.job = job
        self.known = known  # what an earlier worker said of the disk on this claim
        self.said = Report()

    async def run(self) -> None:
        await asyncio.to_thread(self.make)

    def make(self) -> None:
        """Blocking; Terminal, Interrupted or OSError when it cannot be done."""
        raise NotImplementedError

    def report(self, **more: Any) -> Report:
        return self.said.model_copy(update=more)

    def tell(self, **what: Any) -> None:
        """Reports are values: whoever reads one reads it whole."""
        self.said = self.said.model_copy(update=what)


class Blank(Work):
    """All zero."""

    def make(self) -> None:
        with opened(self.job.target, self.job.size) as target:
            target.start()
            target.finish()


def make(job: Job, known: Report) -> Work:
    """The work that a job asks for."""
    # the kinds' modules bring what only they need: an HTTP client, a server
    if job.kind == "blank":
        return Blank(job, known)
    if job.kind == "clone":
        from v2v.clone import Clone

        return Clone(job, known)
    if job.kind == "upload":
        from v2v.upload import Upload

        return Upload(job, known)
    if job.vsphere is not None:
        from v2v.vmware import FlatFile

        return FlatFile(job, known)
    if job.http is not None and "#" in job.http.url:
        from v2v.vmware import OvaMember

        return OvaMember(job, known)
    from v2v.importing import Import

    return Import(job, known)
