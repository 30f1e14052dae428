"""A thousand jobs at a gateway of this farm, on a road that loses, delays and falsifies answers."""
