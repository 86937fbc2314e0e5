"""What a SwarmWorkerPool says of itself."""
