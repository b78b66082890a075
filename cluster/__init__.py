"""A real Kubernetes on one host, and the images that run on it."""
