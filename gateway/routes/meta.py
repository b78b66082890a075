"""What the API server asks of us for itself: discovery, OpenAPI, health; and our version for clients."""

import hashlib
from importlib import metadata
from platform import machine, python_version

import orjson
from aiohttp import web

from gateway.app import GROUP, VERSIONS, Answer, House, Open, Topic
from hostler.runtime.protocol import Raw

KINDS = {"virtualmachines": "VirtualMachine", "virtualmachineinstances": "VirtualMachineInstance"}
SERVED = {
    "virtualmachines": ("start", "stop", "restart", "migrate"),
    "virtualmachineinstances": (
        "pause",
        "unpause",
        "softreboot",
        "addvolume",
        "removevolume",
        "console",
        "vnc",
        "portforward",
        "guestosinfo",
        "userlist",
        "filesystemlist",
    ),
}
READ = ("console", "vnc", "portforward", "guestosinfo", "userlist", "filesystemlist")


def groups() -> Raw:
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group()]}


def group() -> Raw:
    versions = [{"groupVersion": f"{GROUP}/{version}", "version": version} for version in VERSIONS]
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": GROUP,
        "versions": versions,
        "preferredVersion": versions[0],
    }


def resources(version: str) -> Raw:
    """What is served, for discovery; as KubeVirt's, not all of a VM's subresources are named."""
    listed = [
        {
            "name": f"{resource}/{name}",
            "singularName": "",
            "namespaced": True,
            "kind": KINDS[resource],
            "verbs": ["get"] if name in READ else ["update"],
        }
        for resource, names in SERVED.items()
        for name in names
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{version}", "resources": listed}


def openapi_v3(version: str) -> Raw:
    """Paths with their verbs; what they take and give are not kinds of the API server's."""
    paths: Raw = {}
    for resource, names in SERVED.items():
        for name in names:
            path = f"/apis/{GROUP}/{version}/namespaces/{{namespace}}/{resource}/{{name}}/{name}"
            method = "get" if name in READ else "put"
            operation = {
                "operationId": f"{version}{KINDS[resource]}{name.capitalize()}",
                "responses": {"200": {"description": "OK"}},
            }
            parameters = [
                {"name": each, "in": "path", "required": True, "schema": {"type": "string"}}
                for each in ("namespace", "name")
            ]
            paths[path] = {method: operation, "parameters": parameters}
    return {"openapi": "3.0.0", "info": info(), "paths": paths, "components": {"schemas": {}}}


def openapi_v3_index() -> Raw:
    paths = {}
    for version in VERSIONS:
        digest = hashlib.sha256(orjson.dumps(openapi_v3(version))).hexdigest().upper()
        path = f"apis/{GROUP}/{version}"
        paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return {"paths": paths}


def openapi_v2() -> Raw:
    return {"swagger": "2.0", "info": info(), "paths": {}, "definitions": {}}


def info() -> Raw:
    return {"title": "hostler subresources", "version": metadata_version()}


def version() -> Raw:
    whole = metadata_version()
    major, minor, *_ = [*whole.split("."), "0", "0"]
    return {
        "gitVersion": f"v{whole}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "",
        "major": major,
        "minor": minor,
        "goVersion": f"python{python_version()}",
        "compiler": "cpython",
        "platform": f"linux/{machine()}",
    }


def metadata_version() -> str:
    try:
        return metadata.version("hostler")
    except metadata.PackageNotFoundError:  # an image has the packages, but not their distribution
        return "0.1.0"


def fixed(body: Raw) -> Answer:
    text = orjson.dumps(body)

    async def answer(_request: web.Request, _house: House) -> web.StreamResponse:
        return web.Response(body=text, content_type="application/json")

    return answer


async def healthy(_request: web.Request, _house: House) -> web.StreamResponse:
    return web.Response(text="ok")


TOPIC: Topic = (
    Open("GET", "/healthz", healthy),
    Open("GET", "/readyz", healthy),
    Open("GET", "/apis", fixed(groups())),
    Open("GET", f"/apis/{GROUP}", fixed(group())),
    *(Open("GET", f"/apis/{GROUP}/{each}", fixed(resources(each))) for each in VERSIONS),
    *(Open("GET", f"/apis/{GROUP}/{each}/version", fixed(version())) for each in VERSIONS),
    *(Open("GET", f"/apis/{GROUP}/{each}/healthz", fixed({"status": "ok"})) for each in VERSIONS),
    Open("GET", "/openapi/v2", fixed(openapi_v2())),
    Open("GET", "/openapi/v3", fixed(openapi_v3_index())),
    *(Open("GET", f"/openapi/v3/apis/{GROUP}/{each}", fixed(openapi_v3(each))) for each in VERSIONS),
)
