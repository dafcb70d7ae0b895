"""Cleanplate: a photo dropped into a bucket comes back with the unwanted object gone."""
