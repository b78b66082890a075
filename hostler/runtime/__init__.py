"""Muscles: what carries plans out, and what keeps a picture of the cluster."""
