"""The shipped profiles, installed as the package ``qsuite_config`` so that an installed QSuite finds them."""
