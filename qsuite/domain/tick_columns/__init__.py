"""Ticks of one symbol as columns of numbers (``columns``), runs of them (``runs``), and what of them is ``known``."""
