"""The lab's data plane: servers made of Linux namespaces, the networks between them, and what runs on the root side."""
