"""What the API server says to DataVolumes, good and bad."""

from typing import Any

import pytest

from tests.integration.apiserver import Answer, ApiServer, Raw

HTTP = {"http": {"url": "https://images.example.org/disk.qcow2"}}
GIB = {"resources": {"requests": {"storage": "1Gi"}}}


def data_volume(**spec: Any) -> Raw:
    return {
        "apiVersion": "cdi.kubevirt.io/v1beta1",
        "kind": "DataVolume",
        "metadata": {"name": "disk"},
        "spec": {"source": HTTP, "storage": GIB, **spec},
    }


def create(server: ApiServer, namespace: str, body: Raw, **query: str) -> Answer:
    return server.create(f"/apis/cdi.kubevirt.io/v1beta1/namespaces/{namespace}/datavolumes", body, **query)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="http"),
        pytest.param({"source": {"blank": {}}}, id="blank"),
        pytest.param({"source": {"upload": {}}, "contentType": "kubevirt"}, id="upload"),
        pytest.param({"source": {"pvc": {"namespace": "a", "name": "b"}}}, id="clone"),
        pytest.param({"storage": None, "pvc": GIB | {"accessModes": ["ReadWriteOnce"]}}, id="pvc form"),
        pytest.param({"source": {"http": {**HTTP["http"], "checksum": "sha256:" + "a" * 64}}}, id="checksum"),
    ],
)
def test_good(hostler: ApiServer, namespace: str, spec: Raw) -> None:
    body = data_volume(**spec)
    body["spec"] = {key: value for key, value in body["spec"].items() if value is not None}
    answer = create(hostler, namespace, body, dryRun="All")
    assert answer.code == 201, answer.message
    assert answer.body["spec"] == body["spec"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param({"source": {}}, "exactly one source", id="no source"),
        pytest.param({"source": {"blank": {}, "upload": {}}}, "exactly one source", id="two sources"),
        pytest.param({"pvc": GIB}, "either PVC or Storage, and not both", id="pvc and storage"),
        pytest.param({"source": {"http": {"url": "ftp://x/y"}}}, "must begin with http:// or https://", id="ftp"),
        pytest.param(
            {"source": {"http": {**HTTP["http"], "checksum": "sha256:12"}}}, "as many hexadecimal digits", id="checksum"
        ),
        pytest.param({"contentType": "archive"}, "spec.contentType: not supported by hostler", id="archive"),
        pytest.param({"contentType": "iso"}, "ContentType not one of", id="unknown content"),
        pytest.param({"preallocation": True}, "spec.preallocation: not supported by hostler", id="preallocation"),
        pytest.param(
            {"source": {"registry": {"url": "docker://x"}}}, "spec.source.registry: not supported", id="registry"
        ),
        pytest.param({"source": {"s3": {"url": "s3://x"}}}, "spec.source.s3: not supported", id="s3"),
        pytest.param(
            {"source": {"vddk": {"url": "x"}}}, "spec.source.vddk needs url (https://HOST/sdk), uuid", id="vddk"
        ),
        pytest.param(
            {"source": {"imageio": {"url": "x", "diskId": "y"}}}, "spec.source.imageio: not supported", id="imageio"
        ),
        pytest.param(
            {"source": {"snapshot": {"namespace": "a", "name": "b"}}}, "spec.source.snapshot: not", id="snapshot"
        ),
    ],
)
def test_bad(hostler: ApiServer, namespace: str, spec: Raw, said: str) -> None:
    answer = create(hostler, namespace, data_volume(**spec), dryRun="All")
    assert answer.code == 422, answer.body
    assert said in answer.message


def test_the_spec_stays(hostler: ApiServer, namespace: str) -> None:
    assert create(hostler, namespace, data_volume()).code == 201
    path = f"/apis/cdi.kubevirt.io/v1beta1/namespaces/{namespace}/datavolumes/disk"
    answer = hostler.merge(path, {"spec": {"source": {"http": {"url": "https://elsewhere"}}}})
    assert answer.code == 422
    assert "Cannot update DataVolume Spec" in answer.message
    assert hostler.merge(path, {"metadata": {"labels": {"a": "b"}}}).code == 200
