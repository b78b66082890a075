"""The fake keeps the contract that the real API server keeps."""

import pytest

from hostler.runtime.protocol import Kind, Kube
from tests.unit.hostler.runtime.fake_kube import FakeKube
from tests.unit.hostler.runtime.kube_contract import ConfigMap, KubeContract, config


class TestFakeKube(KubeContract):
    @pytest.fixture
    async def kube(self) -> FakeKube:
        kube = FakeKube()
        await kube.create(ConfigMap, "elsewhere", config("stranger"))
        return kube

    @pytest.fixture
    def ns(self) -> str:
        return "test"

    async def expired(self, kube: Kube) -> Kind:
        assert isinstance(kube, FakeKube)
        await kube.expire()
        return ConfigMap
