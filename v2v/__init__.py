"""Workshop: machines and disks come from elsewhere: from VMware, from the web, from another volume."""
