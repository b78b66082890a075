"""PID 1 once all is prepared: keep libvirtd up, reap, copy the console, and end with the guest."""

# ruff: noqa: PTH110, PTH123
# (pathlib would cost every pod a megabyte for as long as its guest runs)

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

from .console import Console
from .daemon import GIVE_UP, Daemon, spawn
from .ending import MOVED, STOPPED, Ending, Verdict
from .logs import say, trim
from .outcome import Outcome
from .places import Places

ASK_AGAIN = 5.0  # seconds between two presses of the ACPI power button
MERCY = 5.0  # seconds that libvirt gets to destroy the guest before we kill QEMU ourselves
LAST = 2.0  # seconds from there to our own end
TERMINATION_LOG = 4096  # bytes that the kubelet reads, from the end
LINGER = 2.0  # seconds that libvirtd gets, after the guest has moved away, to tell so who asked for it
GLANCE = 0.02  # seconds between two looks whether libvirtd is there, at the start only
TRIM = 30.0  # seconds between two looks whether QEMU has said too much

LIBVIRT_FAILED: Verdict = (1, "LibvirtFailed", f"libvirtd ended, or could not be started, {GIVE_UP} times in a row")
NO_GUEST: Verdict = (1, "Stopped", "told to stop while no guest ran")


def stopping(grace: float) -> Iterator[tuple[float, str]]:
    """What to do, and how many seconds after SIGTERM: ask, ask again, destroy, kill, leave. A grace may be years."""
    after = 0.0
    while after < grace:
        yield after, "shutdown"
        after += ASK_AGAIN
    yield grace, "destroy"
    yield grace + MERCY, "kill"
    yield grace + MERCY + LAST, "leave"


class Guard:
    """Runs until the guest has ended; see `run`."""

    def __init__(self, places: Places, domain: str, grace: float) -> None:
        self.places = places
        self.domain = domain
        self.grace = grace
        self.console = Console(places.serial_log)
        self.outcome = Outcome(places)
        self.daemon = Daemon(places)
        self.ending = Ending(places, domain)
        self.virsh = 0
        self.warm = False
        self.asked = False  # whether we were told to end the guest
        self.plan: Iterator[tuple[float, str]] = iter(())  # then: when to do what
        self.due: tuple[float, str] | None = None  # the first of it
        self.log_due = 0.0  # when to look how long QEMU's log is
        self.moved: tuple[float, Verdict] | None = None  # the guest has moved away: when to end, and how

    def run(self) -> tuple[Verdict, int | None, str]:
        """Guard the guest; its verdict, and the exit code and the result that it left."""
        wakeup = listen()
        poll = select.poll()
        poll.register(wakeup, select.POLLIN)
        poll.register(self.console.source, select.POLLIN)
        poll.register(self.daemon.source, select.POLLIN)
        ports = {port.source: port for port in (self.outcome.exit, self.outcome.result)}
        for handle in ports:
            poll.register(handle, select.POLLIN)
        while not (found := self.step(time.monotonic())):
            self.await_reader(poll)
            for handle, _ in poll.poll(self.patience(time.monotonic())):
                if handle == wakeup:
                    self.hear(os.read(wakeup, 512))
                elif handle == self.console.source:
                    self.console.read()
                elif handle == self.daemon.source:
                    self.daemon.listen()
                elif handle in ports:
                    ports[handle].read()
                else:
                    self.console.write()
        self.console.drain()
        if found[0]:
            self.quote()
        self.outcome.drain()
        return *self.outcome.judge(found, self.asked), self.outcome.text()

    def quote(self) -> None:
        """Show libvirtd's last words, which may tell what went wrong."""
        self.daemon.listen()
        for line in self.daemon.words.decode(errors="replace").splitlines():
            say(f"libvirtd: {line}")
        self.daemon.words = b""

    def await_reader(self, poll: select.poll) -> None:
        """Wake up for standard output only while something waits for it."""
        if self.console.waiting:
            poll.register(self.console.out, select.POLLOUT)
        else:
            with suppress(KeyError):
                poll.unregister(self.console.out)

    def patience(self, now: float) -> int:
        """Milliseconds until there is something to do."""
        due = [self.log_due]
        due += [] if self.daemon.pid else [self.daemon.due]
        due += [] if self.warm else [now + GLANCE]
        due += [self.due[0]] if self.due else []
        due += [self.ending.due] if self.ending.dead else []
        due += [self.moved[0]] if self.moved else []
        return max(1, int((min(due) - now) * 1000) + 1)

    def hear(self, signals: bytes) -> None:
        """React to signals. Linux merges them: one SIGCHLD may stand for many children."""
        now = time.monotonic()
        if not self.asked and (signal.SIGTERM in signals or signal.SIGINT in signals):
            say(f"told to stop: the guest has {self.grace:.0f} s to shut down")
            self.asked = True
            self.plan = ((now + seconds, verb) for seconds, verb in stopping(self.grace))
            self.due = next(self.plan)
        self.reap(now)

    def reap(self, now: float) -> None:
        """Bury every dead child at once: libvirt takes a zombie for a live QEMU and waits for it."""
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = found
                if pid == self.daemon.pid:
                    self.quote()
                    say("libvirtd ended; starting it again")
                    self.daemon.bury(now)
                elif pid == self.virsh:
                    self.virsh = 0
                else:
                    self.ending.reaped(now, pid, status)

    def step(self, now: float) -> Verdict | None:
        """Do what is due; the verdict if it is over."""
        self.tidy(now)
        if self.moved:
            return self.moved[1] if now >= self.moved[0] else None
        if found := self.over(now):
            return self.linger(now, found)
        if self.daemon.hopeless and self.ending.gone():
            return LIBVIRT_FAILED
        self.daemon.keep(now)
        self.warm_up()
        if self.due and now >= self.due[0]:
            verb, self.due = self.due[1], next(self.plan, None)
            return self.act(verb)
        return None

    def tidy(self, now: float) -> None:
        """Keep QEMU from filling the pod's private volume with what it says: the kubelet would evict the pod."""
        if now >= self.log_due:
            self.log_due = now + TRIM
            trim(self.ending.log)

    def over(self, now: float) -> Verdict | None:
        """How the guest has ended, if it has."""
        if self.ending.dead and now >= self.ending.due and (found := self.ending.look(now, self.asked)):
            return found
        if self.asked and self.ending.gone():
            return self.ending.look(now, self.asked) or NO_GUEST
        return None

    def linger(self, now: float, found: Verdict) -> Verdict | None:
        """The verdict, at once, unless the guest has moved: then libvirtd still owes its answer."""
        if found != MOVED:
            return found
        self.moved = now + LINGER, found
        return None

    def warm_up(self) -> None:
        """Have libvirt learn what QEMU can do (0.5 s) while the node's agent still sets up the network."""
        if not self.warm and os.path.exists(self.places.socket):
            self.warm = True
            self.ask("domcapabilities", output=None)

    def ask(self, *command: str, output: int | None = 2) -> None:
        """Have virsh tell libvirt; its answer does not matter, nor whether the node has room for it now."""
        uri = f"qemu+unix:///session?socket={self.places.socket}"
        try:
            self.virsh = spawn(self.places, "virsh", "-q", "-c", uri, *command, output=output)
        except OSError as error:
            say(f"cannot start virsh {command[0]}: {error}")

    def act(self, verb: str) -> Verdict | None:
        """One step towards the guest's end."""
        if self.virsh:
            os.kill(self.virsh, signal.SIGKILL)  # it hangs, else it would have been reaped
        match verb:
            case "leave":
                return STOPPED
            case "kill":
                say("libvirt did not destroy the guest; killing QEMU")
                kill(self.ending.qemu())
            case _:
                mode = ("--mode", "acpi") if verb == "shutdown" else ()
                self.ask(verb, self.domain, *mode)
        return None


def listen() -> int:
    """Have signals arrive as bytes in a pipe; its reading end."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # pid1.py blocked them until somebody could hear
    return reader


def kill(pid: int) -> None:
    """SIGKILL; the id comes from a file that QEMU could write: neither us nor a group."""
    if pid > 1:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def report(places: Places, verdict: Verdict, exit_code: int | None = None, result: str = "") -> int:
    """Leave the reason where the kubelet picks it up: a line of JSON, then the guest's result; our exit code."""
    import json  # not before: it would stay in memory as long as the guest runs

    code, reason, message = verdict
    say(f"{reason}: {message}")
    told: dict[str, object] = {"reason": reason, "message": message[:2000]}
    told |= {} if exit_code is None else {"exitCode": exit_code}
    text = json.dumps(told) + "\n" + result
    try:
        with open(places.termination_log, "wb") as file:
            file.write(text.encode()[:TERMINATION_LOG])
    except OSError as error:
        say(f"cannot leave the reason: {error}")
    return code
