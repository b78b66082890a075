"""What a specification must keep to, as CEL rules of the CRDs, in KubeVirt's words."""
