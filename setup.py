"""Names the packages: those found, and the networks and how they were trained, which `find_packages` does not see.

All else is in setup.cfg.
"""

from setuptools import find_packages, setup

FOUND = find_packages(include=["gaintuning_tf", "gaintuning_tf.*"])
setup(packages=[*FOUND, "gaintuning_tf.saved_models", "gaintuning_tf.recipes"])
