"""The shell around the controllers: settings, kopf, watch, sweep, and the composition root."""
