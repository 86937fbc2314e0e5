"""OpenStack, through openstacksdk's configuration and sessions. `OpenStackClouds` implements `ports.compute.Clouds`."""

from swarm_operator.adapters.openstack.cloud import OpenStackCloud, OpenStackClouds

__all__ = ["OpenStackCloud", "OpenStackClouds"]
