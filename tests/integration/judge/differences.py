"""What is meant to differ from Kubernetes' own workloads, and why; docs/judge.md says the same to users."""

from tests.integration.judge.verdict import Listed

DIFFERENCES: tuple[Listed, ...] = ()
