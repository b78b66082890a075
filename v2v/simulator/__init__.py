"""A small vCenter: enough of the vSphere API, over real TLS, that pyVmomi drives it and disks can be read from it.

It serves a folder: `inventory.yaml` names the virtual machines, the files beside it are their disks. For trying out an
import, and for tests that need faults at a chosen byte.
"""
