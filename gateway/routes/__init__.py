"""What the gateway serves: one module a topic, one line here."""

from gateway.app import Topic
from gateway.routes import guestinfo, imports, meta, power, streams, uploads, vms, volumes

TOPICS: tuple[Topic, ...] = (
    meta.TOPIC,
    vms.TOPIC,
    power.TOPIC,
    volumes.TOPIC,
    streams.TOPIC,
    guestinfo.TOPIC,
    imports.TOPIC,
    uploads.TOPIC,
)
