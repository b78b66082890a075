"""Uploads into DataVolumes: tokens for who may, and the way of the bytes to the worker that mounts the volume.

`uploadtokenrequests` come through the API server, which has asked whether the caller may create them. The bytes come
straight to us, as to CDI's upload proxy, with such a token; the worker looks at it once more.
"""

import asyncio
import logging
from functools import cache

import aiohttp
from aiohttp import web
from pydantic import Field, ValidationError

from gateway.app import Aggregated, House, Open, Topic
from gateway.objects import body_of
from gateway.refusals import Refusal, bad_request
from hostler.api import cdi
from hostler.api.cdi import DataVolume, UploadTokenRequest, UploadTokenRequestStatus
from hostler.api.objects import Pod
from hostler.runtime import disk_report
from hostler.runtime.agents import everything
from hostler.runtime.disk_report import Report
from hostler.runtime.errors import NotFound
from hostler.runtime.protocol import Kube, Raw
from hostler.runtime.settings import Settings
from hostler.runtime.upload_token import Grant, TokenInvalid, sign, verify

GROUP, VERSION = "upload.cdi.kubevirt.io", "v1beta1"
WAYS = ("upload", "upload-async")
FORMS = ("upload-form", "upload-form-async", "upload-archive", "upload-archive-async")
READY_SECONDS = 10  # that a worker may take to be there, as CDI's proxy allows
LIMIT = aiohttp.ClientTimeout(total=24 * 3600, connect=15)
LONGEST_ANSWER = 64 << 10

log = logging.getLogger(__name__)


class UploadSettings(Settings):
    """The two halves that sign and verify tokens, PEM."""

    upload_token_key: str = Field("", description="private key")
    upload_token_certificate: str = Field("", description="certificate of the key")


@cache
def settings() -> UploadSettings:
    found = UploadSettings()
    if not found.upload_token_key:
        raise Refusal(501, "NotImplemented", "uploads are not set up: the chart's disks.enabled is false")
    return found


async def token(request: web.Request, house: House) -> web.StreamResponse:
    """Answer an UploadTokenRequest for the claim of a DataVolume that waits for an upload."""
    namespace = request.match_info["namespace"]
    body = await body_of(request)
    try:
        asked = UploadTokenRequest.model_validate(body)
    except ValidationError as error:
        raise bad_request(
            f"UploadTokenRequest: spec.pvcName is missing or no name ({error.error_count()} errors)"
        ) from None
    volume = await volume_of(house.kube, namespace, asked.spec.pvc_name)
    grant = Grant(namespace, volume.metadata.name, volume.metadata.uid)
    status = UploadTokenRequestStatus(token=sign(grant, settings().upload_token_key))
    answer = body | {
        "apiVersion": UploadTokenRequest.group_version,
        "kind": UploadTokenRequest.kind(),
        "metadata": {**(body.get("metadata") or {}), "namespace": namespace},
        "status": status.model_dump(by_alias=True),
    }
    return web.json_response(answer, status=201)


async def volume_of(kube: Kube, namespace: str, name: str) -> DataVolume:
    """The DataVolume behind a claim, if something can be uploaded into it."""
    try:
        volume = DataVolume.model_validate(await kube.get(DataVolume, namespace, name))
    except NotFound:
        message = f'PVC {namespace}/{name} has no DataVolume: create one with "source: {{upload: {{}}}}"'
        raise Refusal(404, "NotFound", message) from None
    if volume.spec.source is None or volume.spec.source.upload is None:
        raise bad_request(f"DataVolume {namespace}/{name} is not for uploads: its spec.source is not upload")
    return volume


async def probe(_request: web.Request, _house: House) -> web.StreamResponse:
    """Clients ask which ways there are."""
    return web.Response()


async def no_form(_request: web.Request, _house: House) -> web.StreamResponse:
    text = (
        "not supported by hostler: send the disk itself, by POST or PUT to /v1beta1/upload or /v1beta1/upload-async\n"
    )
    return web.Response(status=501, text=text)


async def upload(request: web.Request, house: House) -> web.StreamResponse:
    """Pass the bytes on as they come; the worker's answer is the answer."""
    authorization = request.headers.get("Authorization", "")
    if not authorization:
        return web.Response(status=400, text="Authorization: Bearer TOKEN is missing\n")
    try:
        grant = verify(authorization, settings().upload_token_certificate)
    except TokenInvalid as error:
        return web.Response(status=401, text=f"{error}\n")
    place = await worker(house.kube, grant)
    if isinstance(place, str):
        return web.Response(status=409 if place == "done" else 503, text=refusal_of(place))
    address, report = place
    headers = {"Authorization": authorization}
    if request.content_length is not None:
        headers["Content-Length"] = str(request.content_length)
    url = f"https://{address}:{disk_report.UPLOAD_PORT}/v1beta1/upload"
    log.info("upload", extra={"object": f"{grant.namespace}/{grant.name}", "bytes": request.content_length})
    known = aiohttp.Fingerprint(bytes.fromhex(report.fingerprint))
    try:
        async with (
            aiohttp.ClientSession(timeout=LIMIT, trust_env=False) as session,
            session.post(url, data=request.content, headers=headers, ssl=known) as answer,
        ):
            text = (await everything(answer.content, LONGEST_ANSWER)).decode(errors="replace")
            return web.Response(status=answer.status, text=text)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return web.Response(status=502, text=f"the worker did not take it: {error}\n")


def refusal_of(state: str) -> str:
    return "the disk is here already\n" if state == "done" else f"no worker waits for the upload yet ({state})\n"


async def worker(kube: Kube, grant: Grant) -> tuple[str, Report] | str:
    """(address, report) of the worker that waits; or what the DataVolume's state is instead."""
    state = "Pending"
    for _ in range(READY_SECONDS):
        try:
            volume = DataVolume.model_validate(await kube.get(DataVolume, grant.namespace, grant.name))
        except NotFound:
            return "there is no DataVolume any more"
        report = disk_report.read(volume.metadata.annotations, grant.uid)
        if volume.metadata.uid != grant.uid:
            return "another DataVolume has its name"
        if volume.phase == cdi.SUCCEEDED:
            return "done"
        if report is not None and report.state == "ready" and (address := await address_of(kube, grant, report)):
            return address, report
        state = volume.phase or state
        await asyncio.sleep(1)
    return state


async def address_of(kube: Kube, grant: Grant, report: Report) -> str:
    """Of the pod itself, never of a word in the report."""
    labels = f"{disk_report.LABEL}={disk_report.VALUE}"
    for raw in (await kube.list(Pod, grant.namespace, labels=labels))[0]:
        owned = any(ref.get("uid") == grant.uid for ref in raw["metadata"].get("ownerReferences", ()))
        if owned and raw["metadata"]["uid"] == report.pod:
            return str((raw.get("status") or {}).get("podIP") or "")
    return ""


def discovery(body: Raw) -> Open:
    async def answer(_request: web.Request, _house: House) -> web.StreamResponse:
        return web.json_response(body)

    path = f"/apis/{GROUP}" + (f"/{VERSION}" if body["kind"] == "APIResourceList" else "")
    return Open("GET", path, answer)


NAMED = {"groupVersion": f"{GROUP}/{VERSION}", "version": VERSION}
ROOT: Raw = {
    "kind": "APIGroup",
    "apiVersion": "v1",
    "name": GROUP,
    "versions": [NAMED],
    "preferredVersion": NAMED,
}
RESOURCES: Raw = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": f"{GROUP}/{VERSION}",
    "resources": [
        {
            "name": UploadTokenRequest.plural,
            "singularName": "uploadtokenrequest",
            "namespaced": True,
            "group": GROUP,
            "version": VERSION,
            "kind": UploadTokenRequest.kind(),
            "verbs": ["create"],
        }
    ],
}

TOPIC: Topic = (
    discovery(ROOT),
    discovery(RESOURCES),
    Aggregated("POST", f"/apis/{GROUP}/{VERSION}/namespaces/{{namespace}}/{UploadTokenRequest.plural}", token),
    *(
        Open(method, f"/{version}/{way}", probe if method == "HEAD" else upload)
        for version in ("v1beta1", "v1alpha1")
        for way in WAYS
        for method in ("HEAD", "POST", "PUT")
    ),
    *(Open(method, f"/v1beta1/{way}", no_form) for way in FORMS for method in ("POST", "PUT")),
)
