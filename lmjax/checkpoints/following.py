"""Checkpoints for the processes of a run that do not write."""
from typing import Any

from lmjax.checkpoints import store


class Following(store.Checkpoints):
  """Reads and verifies checkpoints that another process of the run saves."""

  def preflight(self, state: Any) -> None:
    """Does nothing; the process that saves checks the disk."""

  def save(self, *args: Any, **kwargs: Any) -> None:
    """Does nothing; another process saves."""
