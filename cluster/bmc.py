"""An emulated BMC: IPMI over LAN (RMCP+), by which a real fence agent switches the real processes of a node.

python -m cluster.bmc CLUSTER NODE   runs beside the control plane until it is told to end
"""

import logging
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyghmi.ipmi.bmc import Bmc as Server

from cluster import bmcs, power, registry
from cluster.bmcs import Bmc
from cluster.errors import ClusterError

BUSY = 0xC0  # IPMI's completion code for "node busy"
SLOW_SECONDS = 6
UUIDS = uuid.UUID("5b5ee6ac-1c53-4b17-9fd3-6f3f9e0d8bb5")  # namespace of ours: a BMC has the same UUID in every life

log = logging.getLogger("bmc")


@dataclass(frozen=True)
class Machine:
    """What a BMC is wired to."""

    name: str
    is_on: Callable[[], bool]
    on: Callable[[], None]
    off: Callable[[], None]
    fault: Callable[[], str]  # how honest the BMC is at this moment


class Switch(Server):  # type: ignore[misc]
    """The BMC of one machine."""

    def __init__(self, machine: Machine, address: str, port: int, password: str) -> None:
        super().__init__({bmcs.USER: password}, port=port, bmcuuid=uuid.uuid5(UUIDS, machine.name), address=address)
        self._machine = machine
        self._told = ""  # what a liar claims
        self._looks = 0

    def sessionless_data(self, data: Any, sockaddr: Any) -> None:
        if self._machine.fault() != "mute":
            super().sessionless_data(data, sockaddr)

    def get_chassis_status(self, session: Any) -> None:
        self._looks += 1
        if self._machine.fault() == "flaky" and self._looks % 2:
            session.send_ipmi_response(code=BUSY)
        else:
            super().get_chassis_status(session)

    def get_power_state(self) -> str:
        fault = self._slowly()
        if fault == "liar" and self._told:
            return self._told
        return "on" if self._machine.is_on() else "off"

    def power_off(self) -> None:
        self._switch("off")

    def power_shutdown(self) -> None:
        self._switch("off")

    def power_on(self) -> None:
        self._switch("on")

    def power_cycle(self) -> None:
        self._switch("off", "on")

    def power_reset(self) -> None:
        self._switch("off", "on")

    def _slowly(self) -> str:
        fault = self._machine.fault()
        if fault == "slow":
            time.sleep(SLOW_SECONDS)
        return fault

    def _switch(self, *states: str) -> None:
        """As a real one: the answer is that it will be done, and then it is done."""
        fault = self._slowly()
        log.info("switch %s: %s (%s)", self._machine.name, ", ".join(states), fault)
        self._told = states[-1] if fault == "liar" else ""
        if fault not in ("liar", "stuck"):
            threading.Thread(target=self._work, args=states, daemon=True).start()

    def _work(self, *states: str) -> None:
        try:
            for state in states:
                (self._machine.on if state == "on" else self._machine.off)()
                log.info("%s is %s", self._machine.name, state)
        except ClusterError as error:
            log.error("cannot switch %s: %s", self._machine.name, error)


def machine(bmc: Bmc) -> Machine:
    """The node's processes."""
    one = bmc.node
    return Machine(one.name, lambda: power.is_on(one), lambda: power.on(one), lambda: power.off(one), lambda: bmc.fault)


def main(name: str, node: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    cluster = registry.get(name)
    password = bmcs.password(cluster)
    one = next((Bmc(each) for each in cluster.nodes if each.name == node), None)
    if one is None or password is None:
        raise ClusterError(f"{node} of cluster {name} has no BMC: `vmctl cluster bmc --name {name}` makes them")
    server = Switch(machine(one), one.address, one.port, password)
    log.info("BMC of %s on %s:%d", node, one.address, one.port)
    server.listen()


if __name__ == "__main__":
    main(*sys.argv[1:])
