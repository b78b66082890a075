"""Where a launcher pod's processes are on this node, found and held by descriptors.

A tenant can write into the pod's directories, so no symbolic link is followed there; who is behind the socket is told
by the kernel, never by what comes out of it.
"""

import asyncio
import os
import re
import signal
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hostler.api import launcher
from hostler.runtime.errors import Error, NotFound, Retry

EMPTY_DIR = ("volumes", "kubernetes.io~empty-dir")
SOCKET = PurePosixPath(launcher.LIBVIRT_SOCKET).relative_to(launcher.PRIVATE).parts
UCRED = struct.Struct("3i")
POD_CGROUP = re.compile(r"pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?![0-9a-f])")


class Intruder(Error):
    """What is found in a pod's place is not that pod's."""


@dataclass(frozen=True)
class Place:
    """A launcher pod whose libvirtd listens."""

    socket: int  # path-only descriptor of libvirt's socket
    process: int  # pidfd of libvirtd
    network: int  # its network namespace
    root: int  # its root directory
    private: int = -1  # path-only descriptor of the pod's private folder

    @property
    def uri(self) -> str:
        """libvirt's name for the connection; by descriptor, since paths of sockets end at 108 bytes."""
        return f"qemu+unix:///session?socket=/proc/self/fd/{self.socket}"

    def close(self) -> None:
        for descriptor in (self.socket, self.process, self.network, self.root, self.private):
            if descriptor >= 0:
                os.close(descriptor)


def find(pods: Path, uid: str) -> Place | None:
    """The place of the pod with this UID, or None while its libvirtd does not listen; Intruder if it is not its own."""
    try:
        private = walk_from(pods, uid, *EMPTY_DIR, launcher.PRIVATE_VOLUME)
    except FileNotFoundError:
        return None
    with closing_on_error(private):
        place = listening(private, uid)
        if place is None:
            os.close(private)
        return place


def listening(private: int, uid: str) -> Place | None:
    """The place of the pod with this private folder; None while its libvirtd does not listen."""
    try:
        path = walk(private, *SOCKET)
    except FileNotFoundError:
        return None
    with closing_on_error(path):
        refuse_no_socket(path, uid, "/".join(SOCKET))
        pid = peer(path)
        if pid is None:
            os.close(path)
            return None
        return Place(path, *process(pid, uid), private)


async def dial(place: Place, uid: str, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to a socket in the pod's private folder, behind which is a process of that pod."""
    try:
        path = walk(place.private, name)
    except FileNotFoundError:
        raise NotFound(404, "NoSocket", f"the guest has no {name}") from None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        refuse_no_socket(path, uid, name)
        connection.connect(f"/proc/self/fd/{path}")
        refuse_stranger(connection, uid, name)
        return await asyncio.open_unix_connection(sock=connection)
    except (ConnectionRefusedError, BlockingIOError):
        connection.close()
        raise Retry(1, f"{name} of the guest takes no connection now") from None
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(path)


def refuse_no_socket(path: int, uid: str, name: str) -> None:
    if not stat.S_ISSOCK(os.fstat(path).st_mode):
        raise Intruder(f"pod {uid}: {name} is not a socket")


def refuse_stranger(connection: socket.socket, uid: str, name: str) -> None:
    """Who listens is a process of the pod; or was one, as with a libvirtd that opened the socket for QEMU and died."""
    pid, _, _ = UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size))
    try:
        owner = pod_of(Path(f"/proc/{pid}/cgroup").read_text())
    except OSError:
        return  # the folder is the pod's own, and no link was followed in it
    if owner != uid:
        raise Intruder(f"pod {uid}: {name} belongs to a process of pod {owner}")


def walk_from(start: Path, *parts: str) -> int:
    """A path-only descriptor of start/parts..., following links in `start` alone."""
    root = os.open(start, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return walk(root, *parts)
    finally:
        os.close(root)


def walk(root: int, *parts: str) -> int:
    """A path-only descriptor, opened step by step; Intruder if a step is a symbolic link."""
    here = os.dup(root)
    for part in parts:
        if part in ("", ".", "..") or "/" in part:
            os.close(here)
            raise Intruder(f"{part!r} is not the name of a file")
        try:
            there = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
        except NotADirectoryError as error:
            raise Intruder(f"{part}: its parent is not a directory") from error
        finally:
            os.close(here)
        here = there
        if stat.S_ISLNK(os.fstat(here).st_mode):
            os.close(here)
            raise Intruder(f"{part} is a symbolic link")
    return here


def peer(path: int) -> int | None:
    """The process that listens on a socket, or None while there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(f"/proc/self/fd/{path}")
        except (ConnectionRefusedError, BlockingIOError):
            return None  # bound but not listening, or busy
        pid, _, _ = UCRED.unpack(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size))
    return int(pid)


def process(pid: int, uid: str) -> tuple[int, int, int]:
    """pidfd, network namespace and root of a process that must belong to the pod."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError as error:
        raise Intruder(f"pod {uid}: the process {pid} behind the socket is gone") from error
    with closing_on_error(handle):
        owner = pod_of(Path(f"/proc/{pid}/cgroup").read_text())
        if owner != uid:
            raise Intruder(f"pod {uid}: its socket belongs to a process of pod {owner}")
        network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        with closing_on_error(network):
            refuse_ours(network, uid)
            root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            with closing_on_error(root):
                signal.pidfd_send_signal(handle, 0)  # what we read was not of a later process with the same number
                return handle, network, root


def pod_of(cgroups: str) -> str | None:
    """The UID of the pod that /proc/PID/cgroup names: the outermost, since a pod may make cgroups inside its own."""
    found = POD_CGROUP.search(cgroups)
    return found.group(1).replace("_", "-") if found else None


def refuse_ours(network: int, uid: str) -> None:
    """We change a pod's network; it must not be the node's or our own."""
    theirs = os.fstat(network)
    for mine in ("/proc/self/ns/net", "/proc/1/ns/net"):
        try:
            here = os.stat(mine)  # noqa: PTH116 - a magic link
        except PermissionError:
            continue  # the node's init may be hidden even from us; the pod's spec is looked at, too
        if (here.st_dev, here.st_ino) == (theirs.st_dev, theirs.st_ino):
            raise Intruder(f"pod {uid}: it is in the node's network")


def read_small(root: int, *parts: str, limit: int = 65536) -> str:
    """A small regular file below a tenant's root; "" if there is none."""
    try:
        path = walk(root, *parts)
    except FileNotFoundError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(path).st_mode):
            raise Intruder(f"{'/'.join(parts)} is not a file")
        with open(f"/proc/self/fd/{path}", "rb") as file:  # noqa: PTH123 - a descriptor
            return file.read(limit).decode(errors="replace")
    finally:
        os.close(path)


def give_device(root: int, *parts: str) -> None:
    """Let the launcher's user open a device node that the runtime made for it with the node's own owner."""
    try:
        path = walk(root, *parts)
    except FileNotFoundError:
        return
    try:
        node = os.fstat(path)
        folder = walk(root, *parts[:-1])
        try:
            own = os.fstat(folder).st_dev == node.st_dev  # otherwise it is the node's, bind-mounted
        finally:
            os.close(folder)
        if own and (stat.S_ISCHR(node.st_mode) or stat.S_ISBLK(node.st_mode)) and node.st_uid != launcher.UID:
            os.chown(f"/proc/self/fd/{path}", launcher.UID, launcher.UID)
            Path(f"/proc/self/fd/{path}").chmod(0o600)
    finally:
        os.close(path)


@contextmanager
def closing_on_error(descriptor: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        os.close(descriptor)
        raise
