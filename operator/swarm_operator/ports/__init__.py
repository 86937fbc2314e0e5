"""Protocols that adapters implement; what the rest needs of the outer world, in the domain's words."""
