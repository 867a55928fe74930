"""MongoDB: the only package that knows it. Domain objects in and out; shapes, indexes and driver errors stay inside."""
