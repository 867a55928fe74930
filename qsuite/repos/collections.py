"""Every collection of the database, gathered from the repo modules that own them."""

from qsuite.repos.schema import CollectionSpec

COLLECTIONS: tuple[CollectionSpec, ...] = ()
