"""Public corpora: one file each, with what it is, and how its folder becomes a manifest."""
