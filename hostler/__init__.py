"""Hostler: virtual machines as Kubernetes workloads."""
