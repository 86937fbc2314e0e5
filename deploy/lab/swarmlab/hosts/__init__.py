"""The lab's data plane: servers made of Linux namespaces, the networks between them, and what runs on the root side.

What is as on a real cloud: a full systemd as PID 1, cloud-init reading Nova's metadata service or config drive data, sshd, the
distribution's docker units, reboot and power off by the guest's own means, console log, routers, floating IPs, volumes.

What is not:

* One kernel. /proc/meminfo, CPU count, sysfs' block devices and ``uptime`` are the machine's; only net.* of sysctl can be
  written. The flavor's memory is a limit of a control group. A kernel without IP_VS has no routing mesh and no VIPs.
* No DHCP and no DNS: addresses are set from outside with the values of the port. No route leads out of the lab.
* Security groups are accepted and not enforced (ML2 ``port_filter: False``).
* The config drive is cloud-init's seed directory /var/lib/cloud/seed/config_drive with Nova's own files, not a block device.
* "/" is an overlay mount; /var/lib/docker, /var/lib/containerd, /srv and /mnt are plain directories, so a data root for
  overlay2 must be there or on a volume. With boot from volume the root's content is not kept in the volume.
* A volume is /dev/vdX and /dev/disk/by-id/virtio-<first 20 characters of the id>; there is no udev, partitions appear within 2 s.
* The test image's wget ends with a segmentation fault when -T is given (Debian's busybox-static 1.35); without it, it works.
"""
