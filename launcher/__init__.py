"""The launcher: domain (VMI -> libvirt XML), pod (what runs inside the pod), agent (what drives it from the node)."""
