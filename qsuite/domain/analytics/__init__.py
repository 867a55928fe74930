"""What prices tell: indicators over whole series, and signals made of them. Numbers here are floats: none is money."""
