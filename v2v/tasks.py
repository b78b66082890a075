"""Celery's doors: the task that makes a disk, and the way it is sent. The only module that knows Celery.

A worker has the broker, the queue and the keys of one DataVolume: HOSTLER_BROKER and HOSTLER_BROKER_PREFIX say which.
Broker and tasks carry no state: what was lost is sent again, what comes twice leaves again.
"""

import asyncio
import os
from typing import Any

import redis
from celery import Celery, signals
from celery.worker import state
from kombu.exceptions import OperationalError

from hostler.runtime.errors import Retry
from hostler.runtime.plan import Send
from v2v import broker, worker_pod, working
from v2v.settings import DiskSettings

LONGEST_JOB = 7 * 24 * 3600  # seconds; the broker's own new delivery is no use before, and harmless after
PUBLISH = {"max_retries": 2, "interval_start": 0.2, "interval_max": 1}


def celery_app(url: str, **transport: Any) -> Celery:
    """An app that speaks to the broker with few words: no results, no events, no remote control."""
    app = Celery("v2v", broker=url, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=worker_pod.QUEUE,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_proc_alive_timeout=30,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": LONGEST_JOB, **transport},
    )
    return app


app = celery_app(
    os.environ.get(worker_pod.BROKER_ENV, "redis://localhost:6379/0"),
    global_keyprefix=os.environ.get(worker_pod.PREFIX_ENV, ""),
)


@app.task(name=worker_pod.TASK)  # type: ignore[untyped-decorator]
def fill(namespace: str, name: str, uid: str) -> None:
    """Make the disk of one DataVolume; safe to run twice, and after a run that was killed."""
    asyncio.run(working.fill(namespace, name, uid))


@signals.task_postrun.connect  # type: ignore[untyped-decorator]
def end(task: Any = None, **_: Any) -> None:
    """One disk, one worker: the process ends when its task has. After a failure that may pass it is started anew."""
    if task is not None and task.name == worker_pod.TASK:
        state.should_stop = working.exit_code()


class CelerySender:
    """Sends tasks, each to a worker with a login and keys of its own."""

    def __init__(self, settings: DiskSettings) -> None:
        self._settings = settings
        self._admin = broker.Admin(settings)

    async def send(self, task: Send) -> None:
        uid = task.queue
        try:
            await asyncio.to_thread(self._admin.admit, uid)
            await asyncio.to_thread(self._publish, task, uid)
        except (OSError, redis.RedisError, OperationalError) as error:
            raise Retry(5.0, f"the broker takes no tasks: {error}") from error

    def _publish(self, task: Send, uid: str) -> None:
        meta = task.about.metadata
        url = worker_pod.broker(uid, self._settings)
        with celery_app(url, global_keyprefix=worker_pod.prefix(uid)) as publisher:
            publisher.send_task(
                task.task,
                args=(meta.namespace, meta.name, meta.uid),
                queue=worker_pod.QUEUE,
                retry=True,
                retry_policy=PUBLISH,
            )
