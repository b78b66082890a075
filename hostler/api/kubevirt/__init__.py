"""kubevirt.io/v1, field by field as KubeVirt 1.9 publishes it."""
