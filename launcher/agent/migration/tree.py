"""Files that the agent leaves in a pod's private folder, where its tenant can write, too: no link is ever followed."""

import os
import stat
from contextlib import suppress
from pathlib import PurePosixPath

from hostler.api import launcher
from launcher.agent import places
from launcher.agent.migration.pki import Files
from launcher.agent.places import Intruder

PAPERS = ("ca-cert.pem", "server-cert.pem", "server-key.pem", "client-cert.pem", "client-key.pem")
FOLDER = PurePosixPath(launcher.PKI).relative_to(launcher.PRIVATE).parts


def write_papers(private: int, papers: Files) -> None:
    """Replace the certificates that the pod's QEMU reads when a move begins."""
    folder = places.walk(private, *FOLDER)
    try:
        if not stat.S_ISDIR(os.fstat(folder).st_mode):
            raise Intruder(f"{'/'.join(FOLDER)} is not a folder")
        for name, text in papers.items():
            write(folder, name, text)
    finally:
        os.close(folder)


def write(folder: int, name: str, text: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        os.write(file, text.encode())
        os.fchown(file, launcher.UID, launcher.UID)
    finally:
        os.close(file)


def give(folder: int, name: str) -> None:
    """Let the launcher's user have a socket that we made. If the name is another thing by now, that is its own."""
    os.chown(name, launcher.UID, launcher.UID, dir_fd=folder, follow_symlinks=False)
