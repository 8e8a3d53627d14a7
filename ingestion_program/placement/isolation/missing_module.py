"""The next step for a module that cannot be imported: pip at home, or another way where the platform lacks the
module.
"""

from __future__ import annotations

import sys

NUMPY = "1.26.4"
# What pip installs at home to have a module of the platform's image. Where the image has whatever version was current
# on its day, the package that brings the module along.
REQUIREMENTS = {
    **{"numpy": f"numpy=={NUMPY}", "scipy": "scipy==1.11.4", "pandas": "pandas==2.2.3", "yaml": "PyYAML==6.0.2"},
    **dict.fromkeys(("dateutil", "pytz", "tzdata"), "pandas==2.2.3"),
    **dict.fromkeys(("sklearn", "joblib"), "scikit-learn==1.5.1"),
    **dict.fromkeys(("numba", "llvmlite"), "numba==0.61.2"),
    **dict.fromkeys(("matplotlib", "mpl_toolkits", "pylab", "PIL", "contourpy", "cycler"), "matplotlib==3.8.4"),
    **dict.fromkeys(("fontTools", "kiwisolver", "packaging", "pyparsing"), "matplotlib==3.8.4"),
    **dict.fromkeys(("cython", "Cython", "pyximport"), "Cython==3.0.12"),
    **{"psutil": "psutil==7.0.0", "threadpoolctl": "threadpoolctl==3.6.0", "imutils": "imutils==0.5.4"},
    **{"pip": "pip", "setuptools": "setuptools", "pkg_resources": "setuptools", "wheel": "wheel"},
}
# What the platform has that does the work of a module it lacks.
REPLACEMENTS = {"torch": "numpy", "ortools": "scipy.optimize.milp or scipy.optimize.linear_sum_assignment"}
BRING = "add {} to the submission as a module beside policy.py if it is pure Python, or do without it"


def missing_module(name: str) -> str:
    """The next step for a missing top-level module."""
    if requirement := REQUIREMENTS.get(name):
        # The image's versions have no wheels for later Pythons.
        wanted = requirement if sys.version_info < (3, 13) else requirement.partition("==")[0]
        return f".venv/bin/python -m pip install {wanted} (the platform has it)"
    return f"the platform has no {name}: {without(name)}; kit.py check lists what the platform has"


def without(name: str) -> str:
    """How to do without a module that the platform lacks."""
    return f"use {REPLACEMENTS[name]} instead of {name}" if name in REPLACEMENTS else BRING.format(name)
