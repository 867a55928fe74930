"""Parts of QSuite against a real mongod."""
