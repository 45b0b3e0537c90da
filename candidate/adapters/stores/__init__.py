"""Where a registry keeps its blobs and its log."""
