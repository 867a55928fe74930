"""What takes minutes or an hour, for ``make soak`` alone: ``make test`` does not find files of these names.

``SOAK_SHARE=0.02`` runs each for that share of its time, to see that it works; bounds on slopes then prove nothing and
are not held.
"""
