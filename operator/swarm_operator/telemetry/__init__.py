"""What the operator tells about itself: metrics, logs, health. Nothing else depends on Prometheus."""
