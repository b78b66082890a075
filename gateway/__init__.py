"""The HTTP door: subresources.kubevirt.io behind the API server, and what else is served to people and programs."""
