"""The reconcile engine: queue, back-off, workers, resync. Knows no domain and no client."""
