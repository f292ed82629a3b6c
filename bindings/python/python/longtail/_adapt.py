"""What the adapters share: a function of another package run with other names around it.

Nothing of that package is copied and nothing in it is changed: the code object is the original's, its globals
are a copy in which a few names stand for something else.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any


def with_names(function: Callable[..., Any], **names: Any) -> Callable[..., Any]:
    """The function with other globals.

    :raises RuntimeError: if it does not use one of the names; the package is then another version than the
        adapter knows.
    """
    code = getattr(function, "__code__", None)
    missing = [name for name in names if code is None or name not in code.co_names]
    if code is None or missing:
        raise RuntimeError(
            f"{getattr(function, '__qualname__', function)} does not use {', '.join(missing) or 'Python code'}, which longtail "
            "would replace; this version of the package is not supported"
        )
    scope = {**function.__globals__, **names}
    found = types.FunctionType(code, scope, function.__name__, function.__defaults__, function.__closure__)
    found.__kwdefaults__ = function.__kwdefaults__
    found.__qualname__, found.__doc__ = function.__qualname__, function.__doc__
    return found


class Functional:
    """``torch.nn.functional`` in which a few functions are others."""

    def __init__(self, **functions: Callable[..., Any]) -> None:
        self.__dict__.update(functions)

    def __getattr__(self, name: str) -> Any:
        import torch.nn.functional

        return getattr(torch.nn.functional, name)


def uses(function: Any, *names: str) -> bool:
    """Whether a function's code uses all of some names."""
    code = getattr(function, "__code__", None)
    return code is not None and all(name in code.co_names for name in names)
