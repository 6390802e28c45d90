"""What pyinfra is asked in benchmarks/fleet.py: the system packages, the virtual environment and the Python packages of a host."""

from __future__ import annotations

from pyinfra.context import host
from pyinfra.operations import apt, pip

apt.packages(name="System packages", packages=host.data.system_packages)
pip.venv(name="Environment", path=host.data.environment)
pip.packages(name="Packages", packages=host.data.packages, virtualenv=host.data.environment)
