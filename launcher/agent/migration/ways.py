"""How guests come and go: what every caretaker of a node shares."""

from dataclasses import dataclass, field

from launcher.agent.migration.tunnel import Inbox, Peers


@dataclass(frozen=True)
class Ways:
    """`address` is where other agents reach this one; without it, no guest can come, and without peers, none can go."""

    peers: Peers | None = None
    inbox: Inbox = field(default_factory=Inbox)
    address: str = ""
