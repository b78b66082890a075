"""VMware vSphere: what is there, power, and disks over HTTPS."""
