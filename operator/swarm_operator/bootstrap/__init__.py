"""What runs on a guest: cloud-init user data, engine configuration, TLS, ssh keys, and what the guest says of itself on its console. Deterministic; no I/O."""
