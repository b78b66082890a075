"""What the gateway serves: one module a topic, one line here."""

from gateway.app import Topic
from gateway.routes import guestinfo, imports, meta, migrations, power, streams, uploads, vms, volumes

TOPICS: tuple[Topic, ...] = (
    meta.TOPIC,
    vms.TOPIC,
    migrations.TOPIC,
    power.TOPIC,
    volumes.TOPIC,
    streams.TOPIC,
    guestinfo.TOPIC,
    imports.TOPIC,
    uploads.TOPIC,
)
