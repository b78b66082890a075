"""Types that several parts of kubevirt.io/v1 share."""

from hostler.api.meta import Model


class ClaimRequest(Model):
    claim_name: str | None = None
    request_name: str | None = None


class FeatureState(Model):
    enabled: bool | None = None
