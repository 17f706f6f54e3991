from __future__ import annotations

import subprocess
import sys

import pytest

from trainer import freed_memory

_TOLD = """
import numpy as np, psutil
from trainer.freed_memory import keep_freed_memory, return_freed_memory

def megabytes():
    return psutil.Process().memory_info().rss / 1e6

print(keep_freed_memory())
before = megabytes()
array = np.ones(25_000_000)
del array
print(megabytes() - before)
return_freed_memory()
print(megabytes() - before)
"""


@pytest.mark.skipif(freed_memory._glibc() is None, reason="the C library is not glibc")
def test_freed_memory_is_kept_until_it_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", _TOLD], capture_output=True, text=True, check=True)
    kept, freed, returned = done.stdout.split()
    assert kept == "True"
    assert float(freed) > 190
    assert float(returned) < 20


def test_another_c_library_goes_on_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freed_memory, "_glibc", lambda: None)
    assert not freed_memory.keep_freed_memory()
    freed_memory.return_freed_memory()
