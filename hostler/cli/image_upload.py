"""vmctl image-upload: a disk from this machine into a volume, by the endpoints that virtctl's image-upload uses."""

import asyncio
import base64
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import typer
import urllib3

from hostler.api.cdi import FAILED, SUCCEEDED, DataVolume, UploadTokenRequest
from hostler.api.meta import Resource
from hostler.cli.target import Kubeconfig, Namespace, run
from hostler.runtime.errors import NotFound, Terminal
from hostler.runtime.kube import Api
from hostler.runtime.protocol import Raw
from hostler.runtime.unreachable import plain

GATEWAY = "hostler-gateway"
PIECE = 1 << 20
ADVICE = f"does {GATEWAY} run (kubectl get pods -A), and is --uploadproxy-url right, if it was given?"
FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")

Pool = urllib3.PoolManager


class APIService(Resource):
    group_version = "apiregistration.k8s.io/v1"
    plural = "apiservices"


def image_upload(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the DataVolume.")],
    image_path: Annotated[
        Path,
        typer.Option("--image-path", help="The disk: raw or qcow2, plain or as gz or xz.", exists=True, dir_okay=False),
    ],
    size: Annotated[str | None, typer.Option(help="How large the disk is to be, as 5Gi; needed to create it.")] = None,
    storage_class: Annotated[str | None, typer.Option(help="Default: the cluster's.")] = None,
    volume_mode: Annotated[str | None, typer.Option(help="Filesystem or Block.")] = None,
    no_create: Annotated[bool, typer.Option("--no-create", help="Only into a DataVolume that is there.")] = False,
    uploadproxy_url: Annotated[
        str | None, typer.Option(help="Where uploads go; default: a port forwarded to the gateway by kubectl.")
    ] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Do not verify the certificate at that URL.")] = False,
    wait_secs: Annotated[int, typer.Option(help="Seconds to wait for the worker, and for the end.")] = 300,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Upload a disk into a new volume.

    Examples:

      vmctl image-upload mydisk --size=5Gi --image-path=debian.qcow2

      vmctl image-upload mydisk --no-create --image-path=debian.qcow2    into a DataVolume that waits for it
    """

    async def whole(api: Api, where: str) -> None:
        if not no_create:
            await ensure(api, where, name, volume(name, size, storage_class, volume_mode))
        _say(f"Waiting for DataVolume {name} to be ready for the upload...")
        await until(api, where, name, ("UploadReady",), wait_secs)
        answer = await api.create(UploadTokenRequest, where, {"metadata": {"name": name}, "spec": {"pvcName": name}})
        token = answer["status"]["token"]
        if uploadproxy_url:
            await asyncio.to_thread(send, pool(None, insecure=insecure), uploadproxy_url, token, image_path)
        else:
            authority = await gateway_authority(api)
            with forwarded(kubeconfig, authority["namespace"]) as url:
                host = f"{GATEWAY}.{authority['namespace']}.svc"
                await asyncio.to_thread(send, pool(authority["ca"], host=host), url, token, image_path)
        _say("Uploaded; waiting for the disk to be whole...")
        await until(api, where, name, (SUCCEEDED,), wait_secs)
        print(f"Uploading {image_path} completed successfully")

    run(whole, namespace, kubeconfig)


def volume(name: str, size: str | None, storage_class: str | None, mode: str | None) -> Raw | None:
    """The DataVolume to create; None without a size."""
    if size is None:
        return None
    storage: Raw = {"resources": {"requests": {"storage": size}}}
    storage |= {"storageClassName": storage_class} if storage_class else {}
    storage |= {"volumeMode": mode} if mode else {}
    return {"metadata": {"name": name}, "spec": {"source": {"upload": {}}, "storage": storage}}


async def ensure(api: Api, namespace: str, name: str, wanted: Raw | None) -> None:
    try:
        await api.get(DataVolume, namespace, name)
    except NotFound:
        if wanted is None:
            raise Terminal("SizeMissing", "--size: say how large the disk is to be, as 5Gi") from None
        await api.create(DataVolume, namespace, wanted)
        _say(f"DataVolume {namespace}/{name} created")


async def until(api: Api, namespace: str, name: str, phases: tuple[str, ...], seconds: int) -> None:
    """Wait for a phase; Terminal when it will not come."""
    for _ in range(seconds * 2):
        status: dict[str, Any] = (await api.get(DataVolume, namespace, name)).get("status") or {}
        phase = status.get("phase", "")
        if phase in phases:
            return
        if phase in (FAILED, SUCCEEDED):
            why = [c.get("message", "") for c in status.get("conditions", ()) if c["type"] == "Running"]
            raise Terminal("UploadFailed", f"DataVolume {name} is {phase}: {' '.join(why)}")
        await asyncio.sleep(0.5)
    raise Terminal("UploadTimeout", f"DataVolume {name} is {phase!r} after {seconds} s")


async def gateway_authority(api: Api) -> dict[str, str]:
    """Where the gateway is and who vouches for it, as the API server knows it."""
    service = await api.get(APIService, None, f"v1beta1.{UploadTokenRequest.group_version.partition('/')[0]}")
    ca = base64.b64decode(service["spec"].get("caBundle", "")).decode()
    return {"namespace": str(service["spec"]["service"]["namespace"]), "ca": ca}


def pool(ca: str | None, *, host: str | None = None, insecure: bool = False) -> Pool:
    more: dict[str, Any] = {"server_hostname": host, "assert_hostname": host} if host else {}
    if ca:
        more["ca_cert_data"] = ca
    return Pool(cert_reqs="CERT_NONE" if insecure else "CERT_REQUIRED", retries=False, **more)


def send(http: Pool, url: str, token: str, path: Path) -> None:
    """The bytes; Terminal with the server's words when they are not wanted."""
    total = path.stat().st_size
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Length": str(total),
        "Content-Type": "application/octet-stream",
    }
    target = f"{url}/v1beta1/upload-async"
    try:
        with path.open("rb") as file:
            answer = http.request("POST", target, body=shown(file, total), headers=headers)
    except urllib3.exceptions.HTTPError as error:
        raise Terminal("UploadFailed", f"{target}: {plain(error)}: {ADVICE}") from error
    if answer.status >= 300:
        raise Terminal("UploadFailed", f"{answer.status}: {answer.data.decode(errors='replace').strip()[:1000]}")


def shown(file: IO[bytes], total: int) -> Iterator[bytes]:
    """Pieces of the file, and how far we are."""
    done, terminal = 0, sys.stderr.isatty()
    while piece := file.read(PIECE):
        yield piece
        done += len(piece)
        if terminal:
            print(f"\r{done / 1e6:.0f} of {total / 1e6:.0f} MB", end="" if done < total else "\n", file=sys.stderr)


@contextmanager
def forwarded(kubeconfig: Path | None, namespace: str) -> Iterator[str]:
    """The URL of a port of this machine that leads to the gateway."""
    command = ["kubectl", "port-forward", "-n", namespace, f"service/{GATEWAY}", ":443"]
    command += [f"--kubeconfig={kubeconfig}"] if kubeconfig else []  # else it finds the same as we do
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    except FileNotFoundError:
        raise Terminal("NoKubectl", "kubectl is not on PATH: install it, or give --uploadproxy-url") from None
    try:
        assert process.stdout is not None
        found = FORWARDING.match(process.stdout.readline())
        if found is None:
            raise Terminal("NoGateway", f"no port could be forwarded to service {namespace}/{GATEWAY}")
        yield f"https://127.0.0.1:{found[1]}"
    finally:
        process.terminate()
        process.communicate()


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def add(app: typer.Typer) -> None:
    app.command("image-upload")(image_upload)
