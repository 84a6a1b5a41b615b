"""Report pages: one template and one style for all, one file each, pictures inside, nothing fetched."""
