"""Fencing: a node that fell silent is proven to be off before its virtual machines start elsewhere."""
