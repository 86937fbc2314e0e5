"""Code of the lab that runs inside the OpenStack services: virt, network and volume drivers. Needs their virtual environment."""
