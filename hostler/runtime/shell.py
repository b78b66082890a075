"""The process around a piece of work: start, probes, signals, metrics, one leader. The only module that knows kopf.

kopf watches nothing here: its per-object machinery costs 20 times what a reflector does, and keeps what vanished while
a watch was away.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import kopf
from prometheus_client import start_http_server

from hostler.runtime import kube, logs
from hostler.runtime.lease import Election, lead
from hostler.runtime.loop import Heartbeat
from hostler.runtime.protocol import Kube
from hostler.runtime.settings import Settings

STUCK = 60.0  # seconds that the event loop may stand still before the process is restarted

Work = Callable[[Kube, str], Awaitable[None]]  # given the API and this process's name; runs until cancelled

log = logging.getLogger(__name__)


class Shell:
    """Runs `work` while this process leads, or at once if it needs no leader; the process ends when the work does."""

    def __init__(self, name: str, settings: Settings, work: Work, lease: str | None = None) -> None:
        self._name = name
        self._settings = settings
        self._work = work
        self._lease = lease
        self._identity = settings.identity or f"{os.uname().nodename}-{os.getpid()}"
        self._stop = asyncio.Event()
        self._heart = Heartbeat()
        self._error: BaseException | None = None

    async def run(self) -> None:
        """Return on SIGTERM or SIGINT; raise what ended the work."""
        registry = kopf.OperatorRegistry()
        kopf.on.startup(registry=registry)(self._start)
        kopf.on.cleanup(registry=registry)(self._cleanup)
        kopf.on.login(registry=registry)(self._login)
        kopf.on.probe(registry=registry, id="heartbeat")(self._probe)
        settings = kopf.OperatorSettings()
        settings.scanning.disabled = True  # no watch of CRDs and namespaces
        settings.posting.enabled = False
        port = self._settings.probe_port
        await kopf.operator(
            registry=registry,
            settings=settings,
            standalone=True,
            clusterwide=True,
            stop_flag=self._stop,
            liveness_endpoint=f"http://0.0.0.0:{port}/healthz" if port else None,
        )
        if self._error is not None:
            raise self._error

    async def _start(self, **_: Any) -> None:
        if self._settings.metrics_port:
            start_http_server(self._settings.metrics_port)
        self._kube = await kube.connect(self._settings.kubeconfig, self._name)
        self._task = asyncio.create_task(self._lead(), name=self._name)
        self._pulse = asyncio.create_task(self._heart.run(), name="heartbeat")

    async def _lead(self) -> None:
        try:
            if self._lease is None:
                await self._work(self._kube, self._identity)
            else:
                await self._work_while_leading(self._lease)
            self._error = RuntimeError(f"{self._name} ended of itself")
        except Exception as error:
            log.exception("cannot go on")
            self._error = error
        finally:
            self._stop.set()

    async def _work_while_leading(self, lease: str) -> None:
        election = Election(self._kube, self._settings.namespace, lease, self._identity)
        await lead(election, lambda: self._work(self._kube, self._identity))

    async def _cleanup(self, **_: Any) -> None:
        self._task.cancel()
        self._pulse.cancel()
        await asyncio.gather(self._task, self._pulse, return_exceptions=True)
        await self._kube.close()

    async def _login(self, **kwargs: Any) -> Any:
        if self._settings.kubeconfig:
            os.environ["KUBECONFIG"] = self._settings.kubeconfig
            return kopf.login_with_kubeconfig(**kwargs)
        return by_address(kopf.login_with_service_account(**kwargs)) or kopf.login_with_kubeconfig(**kwargs)

    async def _probe(self, **_: Any) -> dict[str, float]:
        if self._heart.age > STUCK:
            raise kopf.PermanentError(f"the event loop stood still for {self._heart.age:.0f} s")
        return {"age": round(self._heart.age, 1)}


def by_address(login: kopf.ConnectionInfo | None) -> kopf.ConnectionInfo | None:
    """The API server where the kubelet says it is: kopf asks the cluster's DNS, which may be on a node that is dead."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if login is None or not (host and port):
        return login
    return replace(login, server=f"https://{f'[{host}]' if ':' in host else host}:{port}")


def main(name: str, settings: Settings, work: Work, lease: str | None = None) -> None:
    """The whole process; its exit code is 0 only when it was asked to end."""
    logs.setup(settings.log_level, settings.log_format)

    async def run() -> None:
        await Shell(name, settings, work, lease).run()

    asyncio.run(run())
