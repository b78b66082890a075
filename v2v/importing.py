"""A disk from a web server: streamed, unpacked and summed up in one pass; goes on where it broke off if that can be."""

import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from hostler.runtime.disk_report import Report
from v2v import formats, progress, steps
from v2v.decode import peek
from v2v.digest import Digest
from v2v.filling import fill
from v2v.http import HttpSource, SourceChanged, SourceFailed, request_headers, tls_context
from v2v.job import AUTHORITIES, CREDENTIALS, SCRATCH, Http, Job
from v2v.range import Mark
from v2v.target import Target, opened
from v2v.work import Interrupted, Work

RESTARTS = 3  # from the first byte, within one process
SYNC_BYTES, SYNC_SECONDS = 256 << 20, 3.0  # after so much, or so long, what was written is made safe

log = logging.getLogger(__name__)


class Import(Work):
    """spec.source.http."""

    def __init__(self, job: Job, known: Report, scratch: Path = SCRATCH) -> None:
        super().__init__(job, known)
        # the first word must not take away the mark: whoever comes next, if this process is killed, goes on from there
        self.tell(raw=known.raw, offset=known.offset, validator=known.validator, total=known.total)
        self._http = job.http or Http(url="")
        self._scratch = scratch
        self._share = 100.0  # percent of the progress that reading is

    def make(self) -> None:
        for again in range(RESTARTS + 1):
            try:
                self._once(mark_of(self.known) if again == 0 else Mark())
                return
            except SourceFailed as error:
                raise Interrupted(str(error)) from error
            except SourceChanged as error:
                log.info("beginning anew", extra={"error": str(error)})
                last = str(error)
        raise Interrupted(f"{last} ({RESTARTS} tries)")

    def _once(self, mark: Mark) -> None:
        source = self._source()
        try:
            if mark.durable and self._resumable(mark):
                log.info("going on", extra={"offset": mark.offset})
                self._resume(source, mark)
            else:
                self._begin(source)
        finally:
            source.close()

    def _source(self) -> HttpSource:
        """What is read."""
        http = self._http
        credentials = CREDENTIALS if http.credentials else None
        context = tls_context(AUTHORITIES if http.authorities else None, insecure=http.insecure)
        return HttpSource(http.url, request_headers(http.headers, credentials), context)

    def _begin(self, source: HttpSource) -> None:
        """From the first byte."""
        self.tell(raw=False, offset=0, percent=None, doing="reading the source")
        digest = Digest(self._http.checksum)
        head, stream = peek(summed(source.chunks(), digest))
        packed = formats.packing(head) is not None
        if not packed and formats.disk_format(head) == "raw":
            with opened(self.job.target, self.job.size) as target:
                target.start()
                self._pour(stream, target, source)
                digest.check()
                target.finish()
            return
        qcow2 = not packed and "convert" in steps.steps(formats.disk_format(head))
        self._share = steps.DOWNLOAD_SHARE if qcow2 else 100.0
        # the sum is checked before what is hostile, perhaps, is given to a program
        fill(self.job, ending(self._counted(stream, source), digest), self._converting, self._scratch)

    def _resume(self, source: HttpSource, mark: Mark) -> None:
        """A raw disk of which an earlier worker wrote the beginning."""
        digest = Digest(self._http.checksum)
        with opened(self.job.target, self.job.size) as target:
            if digest.wanted:
                self.tell(doing="summing up what is there already")
                for piece in target.read(0, mark.offset):
                    digest.update(piece)
            target.start(mark.offset)
            self._pour(summed(source.chunks(mark), digest), target, source)
            digest.check()
            target.finish()

    def _resumable(self, mark: Mark) -> bool:
        """What the earlier worker wrote is there."""
        with opened(self.job.target, self.job.size) as target:
            return target.device or target.length() >= mark.offset

    def _pour(self, stream: Iterable[bytes], target: Target, source: HttpSource) -> None:
        """Raw bytes to their place; what is safe on the volume is told, for another worker to go on from."""
        safe, when = target.position, time.monotonic()
        for piece in self._counted(stream, source):
            target.write(piece)
            if target.position - safe >= SYNC_BYTES or time.monotonic() - when >= SYNC_SECONDS:
                target.hold()
                safe, when = target.position, time.monotonic()
                self.tell(raw=True, offset=safe, validator=source.mark.validator, total=source.mark.total)

    def _counted(self, stream: Iterable[bytes], source: HttpSource) -> Iterator[bytes]:
        for piece in stream:
            yield piece
            done = progress.percent(source.mark.offset, source.mark.total)
            self.tell(percent=progress.part(done, 0, self._share))

    def _converting(self, percent: float | None) -> None:
        self.tell(percent=progress.part(percent, self._share, 100), doing="converting to raw")


def mark_of(known: Report) -> Mark:
    """Where an earlier worker's raw disk is safe up to."""
    return Mark(known.offset, known.validator, known.total) if known.raw else Mark()


def summed(chunks: Iterable[bytes], digest: Digest) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def ending(chunks: Iterable[bytes], digest: Digest) -> Iterator[bytes]:
    """All chunks, and Terminal at their end if they were the wrong ones."""
    yield from chunks
    digest.check()
