"""What an agent can be asked for: one module a topic, one line here."""

from launcher.agent.routes import console, guestinfo, ports, power, vnc
from launcher.agent.server import Topic

TOPICS: tuple[Topic, ...] = (power.TOPIC, console.TOPIC, vnc.TOPIC, ports.TOPIC, guestinfo.TOPIC)
