"""The packages of the wheel; everything else about it is in pyproject.toml."""

from setuptools import find_packages, setup

# Folders at the top of the checkout that are installed below mexplain/shipped.
SHIPPED = {f"mexplain.shipped.{name}": name for name in ("checkpoints", "examples", "samples")}

setup(packages=[*find_packages(include=["mexplain*"]), *SHIPPED], package_dir=SHIPPED)
