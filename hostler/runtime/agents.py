"""Calls to the agents of the nodes: finds the agent's pod, and makes sure by its certificate that it is one."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from hostler.api.objects import Pod
from hostler.runtime import names
from hostler.runtime.errors import Unavailable, api_error
from hostler.runtime.protocol import Kube, Raw
from hostler.runtime.tls import Credentials

PORT = 8186
LABELS = "app.kubernetes.io/name=hostler,app.kubernetes.io/component=agent"
CALL = aiohttp.ClientTimeout(total=60, sock_connect=5)
CONNECT = aiohttp.ClientTimeout(total=None, sock_connect=5)
STREAM = aiohttp.ClientWSTimeout(ws_close=5)
# seconds between signs of life of a stream, at each of its ends; an answer is due in half of it, as a client gives none
# while its own reader rests
PING = 40.0
LARGEST = 16 * 2**20  # bytes of one answer or message

log = logging.getLogger(__name__)


class Agents:
    """The agents of all nodes. Close it."""

    def __init__(self, kube: Kube, credentials: Credentials, port: int = PORT) -> None:
        self._kube = kube
        self._namespace = credentials.namespace
        self._port = port
        connector = aiohttp.TCPConnector(ssl=credentials.client, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, trust_env=False, timeout=CONNECT)

    async def close(self) -> None:
        await self._session.close()

    async def call(
        self, node: str, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None
    ) -> Raw:
        """One request and its JSON answer. An agent's refusal is an ApiError with its status, reason and message."""
        data = None if body is None else orjson.dumps(body)
        async with (
            self._reached(node) as url,
            self._session.request(
                method, url + path, params=query, data=data, timeout=CALL, server_hostname=names.common_name("agent")
            ) as response,
        ):
            text = await everything(response.content, LARGEST)
            answer: Raw = orjson.loads(text) if text else {}
            if response.status >= 400:
                raise api_error(response.status, answer)
            return answer

    @asynccontextmanager
    async def stream(
        self, node: str, path: str, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A web socket to the agent; errors as in `call`."""
        try:
            async with self._reached(node) as url:
                socket = await self._session.ws_connect(
                    url + path, params=query, timeout=STREAM, heartbeat=PING, max_msg_size=LARGEST,
                    server_hostname=names.common_name("agent"),
                )  # fmt: skip
        except aiohttp.WSServerHandshakeError as error:
            # the agent says why in a header: the client's library drops the body
            said = dict(error.headers or {})
            body = {"reason": said.get("X-Reason", ""), "message": said.get("X-Message", "")}
            raise api_error(error.status, body) from error
        async with socket:
            yield socket

    async def address(self, node: str) -> str:
        """The IP address of a node's agent."""
        pods, _ = await self._kube.list(Pod, self._namespace, LABELS, f"spec.nodeName={node}")
        found = [str(pod["status"]["podIP"]) for pod in pods if pod["status"].get("podIP") and alive(pod)]
        if not found:
            raise Unavailable(503, "AgentMissing", f"no agent of hostler runs on node {node}")
        return found[0]

    @asynccontextmanager
    async def _reached(self, node: str) -> AsyncIterator[str]:
        """The agent's base URL; its silence is Unavailable."""
        address = await self.address(node)
        try:
            yield f"https://{f'[{address}]' if ':' in address else address}:{self._port}"
        except aiohttp.WSServerHandshakeError:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.warning("agent does not answer", extra={"node": node, "address": address, "error": repr(error)})
            raise Unavailable(503, "AgentUnreachable", f"the agent of node {node} does not answer: {error}") from error


async def everything(content: aiohttp.StreamReader, most: int) -> bytes:
    """An answer whole, however many reads it takes; ValueError if it is longer than `most` bytes."""
    parts, size = [], 0
    while chunk := await content.readany():
        parts.append(chunk)
        size += len(chunk)
        if size > most:
            raise ValueError(f"the answer is longer than {most} bytes")
    return b"".join(parts)


def alive(pod: Raw) -> bool:
    return pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
