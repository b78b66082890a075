"""The base of our images: a small Debian 13 as in `debian:trixie-slim`, from the mirrors that this host uses."""

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cluster import apt

REF = "docker.io/library/debian:trixie-slim"
SUITE = "trixie"
APT = Path("/etc/apt")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
UNWANTED = ("doc", "groff", "info", "linda", "lintian", "locale", "man")  # below /usr/share

# Packages start no services while an image is built.
POLICY = r"printf '#!/bin/sh\nexit 101\n' >$1/usr/sbin/policy-rc.d; chmod 755 $1/usr/sbin/policy-rc.d"
TIDY = "rm -rf $1/var/cache/* $1/var/log/* $1/var/lib/apt/lists/*"


@dataclass(frozen=True)
class Mirrors:
    """Where Debian's packages and its security updates come from."""

    main: str = "http://deb.debian.org/debian"
    security: str = "http://deb.debian.org/debian-security"

    def sources(self) -> str:
        """Lines for apt's sources.list."""
        return (
            f"deb {self.main} {SUITE} main\n"
            f"deb {self.main} {SUITE}-updates main\n"
            f"deb {self.security} {SUITE}-security main\n"
        )


def mirrors(sources: Iterable[str]) -> Mirrors:
    """Debian's web mirrors in the text of apt's source files, of either style; its own where there is none."""
    entries = [entry for text in sources for entry in apt.entries(text)]
    found = {"main": apt.mirror(entries, security=False), "security": apt.mirror(entries, security=True)}
    return Mirrors(**{name: url for name, url in found.items() if url})


def host_mirrors(folder: Path = APT) -> Mirrors:
    """The mirrors that this host is configured for."""
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    return mirrors(
        file.read_text(errors="replace") for file in files if file.is_file() and file.suffix in {".list", ".sources"}
    )


def make(tar: Path, log: IO[bytes]) -> None:
    """Write the root file system of the base to `tar`."""
    command = ["mmdebstrap", *options(), SUITE, str(tar), "-"]
    sources = host_mirrors().sources().encode()
    # With a fixed date the same packages make the same tar.
    environment = os.environ | {"SOURCE_DATE_EPOCH": "0"}
    subprocess.run(command, input=sources, stdout=log, stderr=log, check=True, env=environment)


def options() -> list[str]:
    """How mmdebstrap makes it: what Debian calls minimal, without what only people read."""
    # a host of another distribution has Debian's keys, but does not trust them by itself
    trusted = [f"--keyring={KEYRING}"] if KEYRING.exists() else []
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in UNWANTED]
    return [
        "--variant=minbase",
        "--include=ca-certificates",  # builds may mount the host's authorities over these
        *trusted,
        *excluded,
        '--aptopt=Acquire::Languages "none"',
        f"--customize-hook={POLICY}",
        f"--customize-hook={TIDY}",
    ]
