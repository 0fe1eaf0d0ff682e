"""vidnoise."""
