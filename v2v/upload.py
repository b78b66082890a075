"""A disk that somebody sends: an HTTPS server in the worker that takes one upload and is done.

The gateway alone knows where it is; it shows its certificate's fingerprint in the report, so that the gateway can be
sure of it, and asks for the user's token again, so that it can be sure of the gateway.
"""

import asyncio
import contextlib
import logging
import os
import queue
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web
from cryptography.hazmat.primitives.hashes import SHA256

from hostler.runtime import x509
from hostler.runtime.disk_report import UPLOAD_PORT, Report
from hostler.runtime.errors import Terminal
from hostler.runtime.upload_token import TokenInvalid, verify
from v2v import progress
from v2v.filling import fill
from v2v.job import SCRATCH, Job
from v2v.work import Interrupted, Work

PATHS = tuple(f"/{version}/{way}" for version in ("v1beta1", "v1alpha1") for way in ("upload", "upload-async"))
PIECES = 8  # read ahead of the disk
PIECE = 1 << 20
LIFE = timedelta(days=30)  # of the certificate

log = logging.getLogger(__name__)


class Stream:
    """From the server's loop to the thread that writes: bounded, and it can break off."""

    def __init__(self) -> None:
        self._queue: queue.Queue[bytes | Exception | None] = queue.Queue(PIECES)
        self.closed = threading.Event()  # nobody reads any more

    async def put(self, piece: bytes | Exception | None) -> None:
        while not self.closed.is_set():
            try:
                self._queue.put_nowait(piece)
                return
            except queue.Full:
                await asyncio.sleep(0.01)

    def chunks(self) -> Iterator[bytes]:
        while (piece := self._queue.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece


class Upload(Work):
    """spec.source.upload."""

    def __init__(self, job: Job, known: Report, scratch: Path = SCRATCH, port: int | None = None) -> None:
        super().__init__(job, known)
        self._scratch = scratch
        self._wanted_port = int(os.environ.get("HOSTLER_UPLOAD_PORT", UPLOAD_PORT)) if port is None else port
        self.port = self._wanted_port  # where it listens
        self._busy = False
        self._done: asyncio.Future[None] | None = None

    async def run(self) -> None:
        self._done = asyncio.get_running_loop().create_future()
        app = web.Application(client_max_size=0)
        for path in PATHS:
            app.router.add_route("POST", path, self._take)
            app.router.add_route("PUT", path, self._take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            context, fingerprint = await asyncio.to_thread(certificate, self.job.uid, self._scratch)
            site = web.TCPSite(runner, "0.0.0.0", self._wanted_port, ssl_context=context)  # noqa: S104 - a pod's own
            await site.start()
            self.port = runner.addresses[0][1]
            self.tell(state="ready", fingerprint=fingerprint, doing="waiting for the upload")
            await self._done
            await asyncio.sleep(0.2)  # for the answer to leave
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        assert self._done is not None
        try:
            grant = verify(request.headers.get("Authorization", ""), self.job.upload_key or "")
        except TokenInvalid as error:
            return web.Response(status=401, text=f"{error}\n")
        if grant.uid != self.job.uid:
            return web.Response(status=401, text="the token is for another disk\n")
        if self._busy:
            return web.Response(status=503, text="another upload is under way\n")
        if self._done.done():
            return web.Response(status=409, text="the disk is here already\n")
        self._busy = True
        try:
            return await self._receive(request, self._done)
        finally:
            self._busy = False

    async def _receive(self, request: web.Request, done: asyncio.Future[None]) -> web.Response:
        """Write as it comes; what is wrong with the bytes ends the work, a broken connection does not."""
        stream = Stream()
        writing = asyncio.create_task(asyncio.to_thread(self._fill, stream))
        feeding = asyncio.create_task(self._feed(request, stream))
        try:
            await writing
        except (Interrupted, OSError) as error:
            self.tell(state="ready", percent=None, doing="waiting for the upload anew")
            return web.Response(status=400, text=f"the upload broke off: {error}\n")
        except Terminal as error:
            done.set_exception(error)
            return web.Response(status=400, text=f"{error.reason}: {error.message}\n")
        finally:
            stream.closed.set()
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
        done.set_result(None)
        return web.Response(text="")

    def _fill(self, stream: Stream) -> None:
        fill(self.job, stream.chunks(), self._converting, self._scratch)

    async def _feed(self, request: web.Request, stream: Stream) -> None:
        total, seen = request.content_length, 0
        try:
            async for piece in request.content.iter_chunked(PIECE):
                await stream.put(piece)
                seen += len(piece)
                # a number in any case: who tells none only waits, and takes nobody's turn
                self.tell(percent=progress.percent(seen, total) or 0.0, doing="receiving")
            short = total is not None and seen < total
            await stream.put(Interrupted(f"{seen} of {total} bytes came") if short else None)
        except (ConnectionError, web.HTTPException, OSError) as error:
            await stream.put(Interrupted(str(error) or "the connection is gone"))
        except asyncio.CancelledError:
            with contextlib.suppress(queue.Full):
                await stream.put(Interrupted("the connection is gone"))
            raise

    def _converting(self, _percent: float | None) -> None:
        self.tell(doing="converting to raw")


def certificate(uid: str, scratch: Path) -> tuple[ssl.SSLContext, str]:
    """A certificate for this server alone, and the SHA-256 by which it is known."""
    now = datetime.now(UTC)
    wish = x509.Wish(x509.subject(f"disk-{uid}"[:64]), now - timedelta(hours=1), now + LIFE, purposes=(x509.SERVER,))
    made = x509.issue(wish)
    file = scratch / "upload.pem"
    file.touch(0o600)
    file.write_bytes(made.private + made.pem)
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
    finally:
        file.unlink()
    return context, made.certificate.fingerprint(SHA256()).hex()
