"""What the gateway serves: one module a topic, one line here."""

from gateway.app import Topic
from gateway.routes import guestinfo, imports, meta, power, streams, uploads, vms

TOPICS: tuple[Topic, ...] = (
    meta.TOPIC,
    vms.TOPIC,
    power.TOPIC,
    streams.TOPIC,
    guestinfo.TOPIC,
    imports.TOPIC,
    uploads.TOPIC,
)
