"""Programs that measure the product; each prints one JSON object as its last line."""
