"""The kit as it was at a former commit: what is measured of it beside the one of today."""
