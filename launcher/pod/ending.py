"""How a guest ended, told from libvirt's domain log and from QEMU's own exit status."""

# ruff: noqa: PTH110
# (pathlib would cost every pod a megabyte for as long as its guest runs)

import os
import signal

from .places import Places

TAIL = 65536
SETTLE = 10.0  # seconds after QEMU's end for libvirt to tell its reason; it usually takes 0.01
STARTED = b"starting up"
ENDED = b"shutting down, reason="

Verdict = tuple[int, str, str]  # exit code, reason, message

# By libvirt's reason. A "failed" start is no end: the agent may try again.
VERDICTS: dict[str, Verdict] = {
    "shutdown": (0, "Shutdown", "the guest shut itself down"),
    "migrated": (0, "Migrated", "the guest moved to another node"),
    "saved": (0, "Saved", "the guest was saved"),
    "crashed": (1, "Crashed", "QEMU ended unexpectedly"),
    "destroyed": (1, "Destroyed", "the guest was destroyed"),
}
MOVED = VERDICTS["migrated"]
PANICKED: Verdict = (1, "Panicked", "the guest's kernel panicked")
STOPPED: Verdict = (1, "Destroyed", "the guest did not shut down in time and was destroyed")
ORDERLY = ("shutdown", "migrated", "saved")  # however long QEMU then took to go
FAILED = "failed"


def last_reason(log: bytes) -> str | None:
    """Why the domain ended, if the last thing that its log tells is an end."""
    for line in reversed(log.splitlines()):
        stamp, _, text = line.partition(b": ")  # 2026-11-23 20:46:01.123+0000: shutting down, reason=shutdown
        if not stamp.endswith(b"+0000"):
            continue
        if text.startswith(STARTED):
            return None
        if text.startswith(ENDED):
            return text[len(ENDED) :].decode(errors="replace")
    return None


def verdict(reason: str | None, status: int | None, asked: bool) -> Verdict | None:
    """The end to report: by libvirt's reason, or by QEMU's wait status where libvirt knows none.

    `asked` is whether we were told to end the guest. None: this was no end.
    """
    if reason == FAILED:
        return None
    if reason in ORDERLY:
        return VERDICTS[reason]
    if asked and (reason in (None, "destroyed") or status == signal.SIGKILL):
        return STOPPED
    if reason == "crashed" and status == 0:
        return PANICKED  # libvirt ended this QEMU itself, in good order: on_crash is destroy
    if reason == "destroyed":
        return VERDICTS[reason]
    code, name, message = VERDICTS["crashed"]
    return code, name, message if status is None else f"{message} ({describe(status)})"


def describe(status: int) -> str:
    """A wait status in words."""
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"exit code {os.waitstatus_to_exitcode(status)}"


class Ending:
    """Watches for the end of one domain."""

    def __init__(self, places: Places, domain: str) -> None:
        self.log = places.domain_log(domain)
        self.pid_file = places.domain_pid(domain)
        self.dead: list[tuple[float, int, bool]] = []  # orphans: when reaped, wait status, whether it was the QEMU
        self.due = 0.0

    def qemu(self) -> int:
        """Process id of the guest's QEMU as libvirt wrote it down; 0 if there is none."""
        try:
            return max(0, int(read_tail(self.pid_file) or 0))
        except ValueError:
            return 0

    def running(self) -> bool:
        """Whether the guest's QEMU is there."""
        pid = self.qemu()
        return pid > 0 and os.path.exists(f"/proc/{pid}")

    def reaped(self, now: float, pid: int, status: int) -> None:
        """An orphan has died. It may be the guest's QEMU, or one by which libvirt learned what QEMU can do."""
        self.dead.append((now, status, pid == self.qemu()))
        self.due = now

    def look(self, now: float, asked: bool) -> Verdict | None:
        """Was one of the dead the guest's QEMU? libvirt's log tells soon; else what its process id file said."""
        reason = last_reason(read_tail(self.log))
        ours = [(born, status) for born, status, was_qemu in self.dead if was_qemu]
        if reason == FAILED:
            self.dead = []
            return None
        if reason:
            statuses = ours or [(born, status) for born, status, _ in self.dead]
            return verdict(reason, statuses[-1][1] if statuses else None, asked)
        if ours and now - ours[-1][0] >= SETTLE:
            return verdict(None, ours[-1][1], asked)
        self.dead = [one for one in self.dead if now - one[0] < SETTLE]
        if self.dead:
            self.due = now + max(0.02, now - self.dead[-1][0])  # each wait as long as all before it
        return None

    def gone(self) -> bool:
        """Whether no guest runs, and no death waits for its explanation."""
        return not self.running() and not any(was_qemu for _, _, was_qemu in self.dead)


def read_tail(path: str) -> bytes:
    """The last 64 KiB of a file; nothing if it cannot be read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(handle, TAIL, max(0, os.fstat(handle).st_size - TAIL))
    finally:
        os.close(handle)
