"""The words: typed Kubernetes resources, and the schemas generated from them."""
