"""A stream of bytes becomes the disk on the volume, whatever it is packed in: shared by imports and uploads."""

import logging
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from hostler.runtime.errors import Terminal
from v2v import commands, formats, progress, steps
from v2v.decode import unpack
from v2v.job import SCRATCH, Job
from v2v.target import IMAGE, Target, opened
from v2v.work import Interrupted

SCRATCH_IMAGE = "source.qcow2"
GROWTH = 1.1  # of the disk's size: a packed disk that is larger is none
SLACK = 64 << 20
STDERR = 400  # characters of what a program complains of

Told = Callable[[float | None], None]  # percent of the disk's conversion
Chunks = Iterable[bytes]

log = logging.getLogger(__name__)


def fill(job: Job, chunks: Chunks, converting: Told, scratch: Path = SCRATCH) -> str:
    """Unpack, and write what is raw to its place; qcow2 is put down and converted. The format that it was."""
    head, stream = unpack(chunks)
    disk_format = formats.disk_format(head)
    if "convert" not in steps.steps(disk_format):
        with opened(job.target, job.size) as target:
            target.start()
            pour(stream, target)
            target.finish()
        return disk_format
    image = scratch / SCRATCH_IMAGE
    with opened(job.target, job.size) as target:
        room = target.size
    try:
        put_down(stream, image, int(room * GROWTH) + SLACK)
        convert(job, image, room, converting)
    finally:
        image.unlink(missing_ok=True)
    return disk_format


def pour(stream: Chunks, target: Target) -> None:
    for piece in stream:
        target.write(piece)


def put_down(stream: Chunks, image: Path, most: int) -> None:
    """A copy of the packed disk beside the volume; never more than a disk of this size could need."""
    written = 0
    with image.open("wb") as file:
        for piece in stream:
            written += len(piece)
            if written > most:
                raise Terminal(
                    "ImageInvalid", f"the qcow2 image is larger than a disk that fits the volume ({most} bytes)"
                )
            file.write(piece)


def convert(job: Job, image: Path, room: int, converting: Told) -> None:
    """qcow2 on the scratch space to raw on the volume."""
    done = run(commands.qemu_img_info(image), commands.INFO_SECONDS * 2)
    size = steps.virtual_size(done, room)
    log.info("converting", extra={"bytes": size})
    place = job.target if job.device else job.target / IMAGE
    with opened(job.target, job.size) as target:
        target.start()
        if job.device:
            target.zero(0, target.size)
        else:
            os.ftruncate(target.handle, size)  # `convert -n` writes into what is there
        watch(commands.qemu_img_convert(image, place), converting)
        target.position = size
        target.finish()


def run(command: tuple[str, ...], seconds: float) -> bytes:
    """A program's answer; Terminal with its complaint."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise Terminal("ImageInvalid", f"the disk could not be examined within {seconds:.0f} s") from None
    if done.returncode:
        raise Terminal("ImageInvalid", f"the disk cannot be read: {complaint(done.stderr)}")
    return done.stdout


def watch(command: tuple[str, ...], converting: Told) -> None:
    """A program that prints how far it is."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for output in pieces(process.stdout.fileno()):
            if (percent := progress.qemu_img(output)) is not None:
                converting(percent)
        said = process.stderr.read(1 << 16)
    if process.returncode < 0:
        raise Interrupted(f"qemu-img was ended by signal {-process.returncode}")
    if process.returncode:
        raise Terminal("ConversionFailed", f"qemu-img convert: {complaint(said)}")


def pieces(handle: int) -> Iterator[bytes]:
    while output := os.read(handle, 4096):
        yield output


def complaint(said: bytes) -> str:
    return " ".join(said.decode(errors="replace").split())[-STDERR:] or "it gave no reason"
