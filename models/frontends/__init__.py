"""Audio to features, one file per front end."""
