"""Cameras: streams that come in without end, are cleaned as they come, and go out again, whatever the network does."""
