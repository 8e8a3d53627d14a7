"""What a policy uses that is newer than the platform: the table against this numpy, and how uses are found."""

from __future__ import annotations

import inspect
import sys
import warnings
from functools import reduce
from pathlib import Path

import numpy as np
import pytest

from commands.newer import SINCE, newer_uses
from submissions import write_policy

HERE = tuple(map(int, np.__version__.split(".")[:2]))


def uses(folder: Path, source: str, files: dict[str, str] | None = None) -> list[str]:
    """What is found in a policy's source."""
    write_policy(folder, source, files)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [str(use) for use in newer_uses({path.relative_to(folder).as_posix(): path for path in paths})]


@pytest.mark.parametrize("name", SINCE)
def test_numpy_has_a_name_or_an_argument_from_its_version_on(name: str) -> None:
    dotted, _, argument = name.removeprefix("numpy.").partition("(")
    with warnings.catch_warnings():
        # 1.26 warns of names to come.
        warnings.simplefilter("ignore")
        found = reduce(lambda above, part: getattr(above, part, None), dotted.split("."), np)
    if argument:
        found = inspect.signature(found).parameters.get(argument.removesuffix("=)"))
    assert (found is not None) == (tuple(map(int, SINCE[name].split("."))) <= HERE)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (
            "import numpy as np\n\nnp.bitwise_count(1)\nnp.bitwise_count(2)\n",
            "np.bitwise_count (numpy 2.0; {}, line 3)",
        ),
        ("import numpy\nnumpy.linalg.vecdot\n", "np.linalg.vecdot (numpy 2.0; {}, line 2)"),
        ("import numpy.linalg as la\nla.svdvals\n", "np.linalg.svdvals (numpy 2.0; {}, line 2)"),
        ("from numpy import linalg\nlinalg.outer\n", "np.linalg.outer (numpy 2.0; {}, line 2)"),
        ("from numpy import unstack as parts\n", "np.unstack (numpy 2.1; {}, line 1)"),
        ("import numpy as np\nnp.strings.upper('a')\n", "np.strings (numpy 2.0; {}, line 2)"),
        ("import numpy as np\nnp.argsort([1], stable=True)\n", "np.argsort(stable=) (numpy 2.0; {}, line 2)"),
        ("from numpy import quantile as q\nq([1], 1, weights=[1])\n", "np.quantile(weights=) (numpy 2.0; {}, line 2)"),
    ],
)
def test_a_use_is_found_by_whatever_name_numpy_has(tmp_path: Path, source: str, found: str) -> None:
    assert uses(tmp_path, source) == [found.format("policy.py")]
    assert uses(tmp_path / "two", "import part.rows\n", {"part/rows.py": source}) == [found.format("part/rows.py")]


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\nnp.argsort([1], kind='stable')\nnp.quantile([1], 1)\nnp.linalg.norm([1])\n",
        "import numpy as np\nif hasattr(np, 'vecdot'):\n    np.vecdot\n",
        "try:\n    from numpy import vecdot\nexcept ImportError:\n    vecdot = None\n",
        "import numpy as np\ntry:\n    np.vecdot\nexcept (KeyError, AttributeError):\n    pass\n",
        "import numpy as np\ntry:\n    np.vecdot\nexcept:\n    pass\n",
        "from mine import np\nnp.vecdot\n",
        "1 +\nimport numpy as np\nnp.vecdot\n",
    ],
)
def test_what_the_platform_has_and_what_has_another_way_are_no_uses(tmp_path: Path, source: str) -> None:
    assert uses(tmp_path, source) == []


def test_what_is_caught_as_something_else_is_a_use(tmp_path: Path) -> None:
    source = "import numpy as np\ntry:\n    np.vecdot\nexcept KeyError:\n    np.matvec\n"
    assert uses(tmp_path, source) == [
        "np.vecdot (numpy 2.0; policy.py, line 3)",
        "np.matvec (numpy 2.2; policy.py, line 5)",
    ]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="this Python reads nothing newer")
def test_syntax_later_than_the_platform_s_python_is_found(tmp_path: Path) -> None:
    assert uses(tmp_path, "x = 1\ntype Rows[T = int] = list[T]\n") == [
        "syntax (later than Python 3.12; policy.py, line 2)"
    ]
    assert uses(tmp_path, "type Rows[T] = list[T]\n") == []
