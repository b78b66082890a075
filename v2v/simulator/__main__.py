"""`python -m v2v.simulator FOLDER`: serve a folder as a vCenter until told to end; prints address and thumbprint."""

import argparse
import signal
import tempfile
import threading
from pathlib import Path

from v2v.simulator import certificate
from v2v.simulator.machines import load
from v2v.simulator.server import Faults, Server, context
from v2v.simulator.world import World


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m v2v.simulator", description=__doc__)
    parser.add_argument("folder", type=Path, help="holds inventory.yaml and a folder for each datastore")
    parser.add_argument("--listen", default="127.0.0.1:8989", help="ADDRESS:PORT")
    parser.add_argument("--user", default="administrator@vsphere.local")
    parser.add_argument("--password", default="password")
    parser.add_argument("--tls", type=Path, help="folder with tls.crt and tls.key; made there if missing")
    parser.add_argument("--name", action="append", default=["localhost", "127.0.0.1"], help="for the certificate")
    parser.add_argument("--drop-every", type=int, default=0, help="cut a connection after so many bytes of a disk")
    parser.add_argument("--bytes-per-second", type=int, default=0, help="of a disk, to each client; 0: no limit")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        made = certificate.make(options.tls or Path(scratch), tuple(options.name))
        world = World(options.folder, load(options.folder), options.user, options.password)
        address, _, port = options.listen.rpartition(":")
        server = Server(
            (address, int(port)),
            world,
            context(*made),
            Faults(options.drop_every, bytes_per_second=options.bytes_per_second),
        )
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"https://{options.listen}/sdk thumbprint {certificate.thumbprint(made[0])}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
