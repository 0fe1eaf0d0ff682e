"""Files, pipes and streams in and out."""
