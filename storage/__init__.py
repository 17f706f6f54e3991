"""What outlives a process: study database, checkpoints, artifacts."""
