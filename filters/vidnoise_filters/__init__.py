"""The filters that come with vidnoise, one file each, on the same public API as any plugin."""
