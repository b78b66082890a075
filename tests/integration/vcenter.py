"""A simulated vCenter in this process, with disks of its own and faults on demand."""

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from v2v.simulator import certificate
from v2v.simulator.machines import Disk, Inventory, Machine, Nic
from v2v.simulator.server import Faults, Server, context
from v2v.simulator.world import World
from v2v.vsphere.session import Login

MIB = 1 << 20


@dataclass
class VCenter:
    """Where it is, and what can be done to it."""

    server: Server
    thumbprint: str
    folder: Path
    uuids: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server.server_address[1]}/sdk"

    @property
    def world(self) -> World:
        return self.server.world

    def login(self, **changed: str) -> Login:
        given = {"url": self.url, "user": self.world.user, "password": self.world.password}
        return Login(**(given | {"thumbprint": self.thumbprint} | changed))


def uuid(number: int) -> str:
    return f"564d1122-0000-4000-8000-{number:012x}"


def machine(number: int, **more: object) -> Machine:
    name = f"m{number}"
    given: dict[str, object] = {
        "name": name,
        "id": f"vm-{number}",
        "uuid": uuid(number),
        "disks": (Disk(file=f"{name}/{name}-flat.vmdk"),),
        "nics": (Nic(mac=f"00:50:56:00:{number // 256:02x}:{number % 256:02x}"),),
    }
    return Machine.model_validate(given | more)


def content(size: int, seed: int = 1) -> bytes:
    """A disk, half of it zeros, that is no multiple of anything."""
    source = random.Random(seed)
    pieces = [source.randbytes(MIB) if number % 2 else bytes(MIB) for number in range(size // MIB)]
    return b"".join(pieces) + source.randbytes(size % MIB // 512 * 512)


def put(folder: Path, file: str, data: bytes) -> None:
    path = folder / "datastore1" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (1e9, 1e9))


@contextmanager
def vcenter(folder: Path, *machines: Machine, faults: Faults | None = None) -> Iterator[VCenter]:
    """Serve these machines until the end."""
    folder.mkdir(parents=True, exist_ok=True)
    made = certificate.make(folder, ("127.0.0.1",))
    world = World(folder, Inventory(machines=machines))
    server = Server(("127.0.0.1", 0), world, context(*made), faults or Faults())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield VCenter(server, certificate.thumbprint(made[0]), folder)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
