"""Plans that are replaced while batches are served: controls route each batch, replanners make the next table."""
