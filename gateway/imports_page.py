"""The import page: static files, and a way through to the few API objects that it needs, with the user's own token.

The gateway adds no rights of its own: it forwards the bearer token of each request, and nothing without one.
"""

import re
import ssl
from pathlib import Path

import aiohttp
from aiohttp import web

STATIC = Path(__file__).parent / "static" / "imports"
PREFIX = "/imports"
PAGE = "/imports/"
LONGEST_BODY = 1 << 20
TIMEOUT = aiohttp.ClientTimeout(total=30)
NAME = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
# What the page may ask the API server for: method -> path.
ALLOWED = {
    "GET": re.compile(rf"apis/hostler\.io/v1alpha1/namespaces/{NAME}/(importsources|importplans)(/{NAME})?"),
    "POST": re.compile(
        rf"(apis/hostler\.io/v1alpha1/namespaces/{NAME}/(importsources|importplans)|api/v1/namespaces/{NAME}/secrets)"
    ),
    "PATCH": re.compile(rf"apis/hostler\.io/v1alpha1/namespaces/{NAME}/importsources/{NAME}"),
    "DELETE": re.compile(rf"apis/hostler\.io/v1alpha1/namespaces/{NAME}/(importsources|importplans)/{NAME}"),
}
FILES = {
    "": ("index.html", "text/html"),
    "page.js": ("page.js", "text/javascript"),
    "page.css": ("page.css", "text/css"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class ImportsPage:
    """The page's routes; `server` is the API server's address, `tls` trusts it."""

    def __init__(self, server: str, tls: ssl.SSLContext | None) -> None:
        self._server = server.rstrip("/")
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(PREFIX, self.home),
            web.get(PREFIX + "/{file:[a-z.]*}", self.file),
            web.route("*", PREFIX + "/api/{path:.+}", self.forward),
        ]

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def home(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": PAGE})

    async def file(self, request: web.Request) -> web.StreamResponse:
        found = FILES.get(request.match_info["file"])
        if found is None:
            raise web.HTTPNotFound
        name, kind = found
        text = (STATIC / name).read_text()
        return web.Response(text=text, content_type=kind, headers=HEADERS)

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """One request to the API server, as the user."""
        path, token = request.match_info["path"], request.headers.get("Authorization", "")
        if not token.startswith("Bearer "):
            return refusal(401, "Unauthorized", "log in: this page needs a bearer token of yours")
        allowed = ALLOWED.get(request.method)
        if allowed is None or not allowed.fullmatch(path):
            return refusal(403, "Forbidden", f"the import page does not ask for {request.method} {path}"[:300])
        body = await request.read()
        if len(body) > LONGEST_BODY:
            return refusal(413, "RequestEntityTooLarge", "too large")
        kind = "application/merge-patch+json" if request.method == "PATCH" else "application/json"
        headers = {"Authorization": token, "Content-Type": kind, "Accept": "application/json"}
        try:
            async with self._client().request(
                request.method, f"{self._server}/{path}", data=body or None, headers=headers, allow_redirects=False
            ) as answer:
                said = await answer.read()
                return web.Response(
                    status=answer.status, body=said, headers=HEADERS | {"Content-Type": "application/json"}
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            return refusal(502, "ServiceUnavailable", f"the API server does not answer: {type(error).__name__}")

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True, limit=16)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


def refusal(code: int, reason: str, message: str) -> web.Response:
    """A metav1.Status, as the API server would say it."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message}
    return web.json_response(status | {"code": code}, status=code, headers=HEADERS)
