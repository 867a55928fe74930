"""What people who run QSuite use beside it."""
