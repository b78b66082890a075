"""The process: every replica answers to evictions, one of them moves guests."""

import asyncio

from hostler.runtime.lease import Election, lead
from hostler.runtime.manager import manage
from hostler.runtime.plan import AnyController
from hostler.runtime.protocol import Kube
from hostler.runtime.tls import Credentials
from migration import disruption, evacuation, metrics, move, webhook
from migration.settings import MigrationSettings

NAME = "hostler-migration"


def controllers(settings: MigrationSettings) -> tuple[AnyController, ...]:
    return move.controller(settings), evacuation.CONTROLLER, disruption.CONTROLLER


async def run(kube: Kube, identity: str, settings: MigrationSettings) -> None:
    """Until cancelled, or until a part ends, which none may."""
    election = Election(kube, settings.namespace, NAME, identity)

    async def work() -> None:
        await manage(kube, controllers(settings), NAME, identity, listeners=(metrics.heard,))

    async with asyncio.TaskGroup() as parts:
        if settings.webhook_port:
            parts.create_task(door(kube, settings), name="webhook")
        parts.create_task(lead(election, work), name="moves")


async def door(kube: Kube, settings: MigrationSettings) -> None:
    """Answer as soon as there is a certificate."""
    credentials = Credentials(kube, settings.namespace, "migration")
    await credentials.load()
    runner = await webhook.serve(kube, credentials, settings.webhook_port)
    try:
        await credentials.keep()
    finally:
        await runner.cleanup()
