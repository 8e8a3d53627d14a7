"""Looks for the case it is in: arguments, environment, folders, the simulator's modules."""

import os
import sys
import tempfile

from honest import HERE, attempt, rebalance

__all__ = ["rebalance"]

ALLOWED = ["HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "TMPDIR"]
ALLOWED += [f"{name}_NUM_THREADS" for name in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM", "NUMEXPR")]
ALLOWED += ["VECLIB_MAXIMUM_THREADS", "JOBLIB_MULTIPROCESSING", "NUMBA_CACHE_DIR"]
# Put together here, so that this source is not what is found.
NAMES = ("Tiny" + "model", "Secret" + "set", "signing" + ".key")
words = [
    *sys.argv,
    *sys.orig_argv,
    *sys.path,
    *os.environ,
    *os.environ.values(),
    os.getcwd(),
    tempfile.gettempdir(),
    HERE,
]
attempt("variables", lambda: [name for name in os.environ if name not in ALLOWED] or None)
attempt("names", lambda: [word for word in words if any(name in word for name in NAMES)] or None)
print("looked at", len(words) > 10)
