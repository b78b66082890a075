"""/imports/: the page on which people pick machines to import. It acts with their own token, with no rights of ours."""

import os
import ssl
from functools import cache
from pathlib import Path

from aiohttp import web

from gateway.app import House, Open, Topic
from gateway.imports_page import PREFIX, ImportsPage

AUTHORITY = Path("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")


@cache
def page() -> ImportsPage:
    """For the API server of the cluster that this process runs in."""
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    tls = ssl.create_default_context(cafile=str(AUTHORITY) if AUTHORITY.exists() else None)
    return ImportsPage(f"https://{f'[{host}]' if ':' in host else host}:{port}", tls)


async def home(request: web.Request, _house: House) -> web.StreamResponse:
    return await page().home(request)


async def file(request: web.Request, _house: House) -> web.StreamResponse:
    return await page().file(request)


async def forward(request: web.Request, _house: House) -> web.StreamResponse:
    return await page().forward(request)


TOPIC: Topic = (
    Open("GET", PREFIX, home),
    Open("GET", PREFIX + "/{file:[a-z.]*}", file),
    Open("*", PREFIX + "/api/{path:.+}", forward),
)
