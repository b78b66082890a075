"""What an agent can be asked for: one module a topic, one line here."""

from launcher.agent.routes import power
from launcher.agent.server import Topic

TOPICS: tuple[Topic, ...] = (power.TOPIC,)
