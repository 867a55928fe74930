"""Sentiment: the lexicon that is there from the start, the classifier that a user trains, and what runs either."""
