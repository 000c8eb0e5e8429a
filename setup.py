"""Names the packages: those found, and the networks, which `find_packages` does not see.

All else is in setup.cfg.
"""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["gaintuning_tf", "gaintuning_tf.*"]), "gaintuning_tf.saved_models"])
