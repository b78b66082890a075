"""The node agent: drives libvirt in every launcher pod of its node."""
