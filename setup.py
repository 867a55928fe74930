"""The one thing setup.cfg cannot say: all packages under qsuite/, and config/ beside them under another name."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["qsuite", "qsuite.*"]), "qsuite_config"])
