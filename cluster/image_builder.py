"""Containerfiles to image archives, with buildah in a store of our own: no Docker, no registry, no daemon."""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from cluster import durable, image_debian
from hostler.runtime.errors import Terminal

# A build trusts whom this host trusts: some networks have a certificate authority of their own.
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
TOOLS = ("buildah", "mmdebstrap")
RUN = Path("/run/hostler/images")  # of each store, what must not outlive a reboot


@dataclass(frozen=True)
class Builder:
    """Builds into `store`, where every step is kept for the next build, and tells `log` about it."""

    store: Path
    log: IO[bytes]

    def base(self) -> str:
        """The ID of the base image; empty if it is not made yet."""
        return self._id(image_debian.REF)

    def make_base(self) -> str:
        """Make the base image, with today's packages, and return its ID."""
        with TemporaryDirectory(dir=self.store, prefix="base.") as scratch:
            tar = Path(scratch) / "root.tar"
            image_debian.make(tar, self.log)
            container = self._buildah("from", "scratch")
            try:
                self._buildah("add", "--quiet", container, str(tar), "/")
                self._buildah("commit", "--quiet", "--timestamp=0", container, image_debian.REF)
            finally:
                self._buildah("rm", container)
        return self.base()

    def build(self, containerfile: Path, context: Path, ref: str, *, target: str = "", fresh: bool = False) -> None:
        """Build `ref`, up to the stage `target`; steps whose input did not change are the store's unless `fresh`."""
        trust = [f"--volume={AUTHORITIES}:{AUTHORITIES}:ro"] if AUTHORITIES.exists() else []
        steps = ["--no-cache"] if fresh else ["--layers"]
        steps += [f"--target={target}"] if target else []
        self._buildah(
            *("build", "--isolation=chroot", "--pull-never", "--force-rm", "--timestamp=0", *steps, *trust),
            *("--file", str(containerfile), "--tag", ref, str(context)),
        )

    def save(self, ref: str, dest: Path) -> None:
        """Write the archive of `ref`: OCI, named by `ref`, zstd because it unpacks three times as fast as gzip."""
        with TemporaryDirectory(dir=dest.parent, prefix=f".{dest.name}.") as scratch:
            tar = Path(scratch) / dest.name
            compression = ["--compression-format=zstd", "--compression-level=1"]
            self._buildah("push", "--quiet", *compression, ref, f"oci-archive:{tar}:{ref}")
            durable.replace(tar, dest)

    def drop(self, repository: str, *, keep: str) -> None:
        """Forget the images of `repository` but `keep`; the steps they share with it stay."""
        names = self._buildah("images", "--format", "{{.Name}}:{{.Tag}}").split()
        old = [name for name in names if name.rpartition(":")[0] == repository and name != keep]
        if old:
            self._buildah("rmi", "--force", *old)

    def clear(self) -> None:
        """Remove the working containers, mounted as they may be, of builds that were killed before they could."""
        self._buildah("rm", "--all")

    def empty(self) -> None:
        """Forget every image and every step."""
        self._buildah("rmi", "--all", "--force")

    def _id(self, ref: str) -> str:
        names = self._buildah("images", "--no-trunc", "--format", "{{.Name}}:{{.Tag}} {{.ID}}").splitlines()
        return dict(name.split() for name in names).get(ref, "")

    def _buildah(self, *command: str) -> str:
        run = RUN / hashlib.sha256(bytes(self.store)).hexdigest()[:12]
        where = [f"--root={self.store}", f"--runroot={run}"]
        done = subprocess.run(
            ["buildah", *where, *command], stdout=subprocess.PIPE, stderr=self.log, text=True, check=True
        )
        self.log.write(done.stdout.encode())
        return done.stdout.strip()


def require(*programs: str) -> None:
    """See that `programs` are there, each in the Debian package of its name."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise Terminal(
            "ToolMissing", f"images are built with {' and '.join(missing)}: apt-get install {' '.join(missing)}"
        )
    if os.geteuid() != 0:
        raise Terminal("NotRoot", "images are built with mounts and chroot: run as root")
