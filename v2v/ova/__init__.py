"""OVA files: a tar of a machine's description (OVF) and its disks (stream-optimised VMDK). All of it may be hostile."""
