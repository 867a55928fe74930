"""The sections of the composition root: each makes one theme's parts from those made before it, and returns them."""
