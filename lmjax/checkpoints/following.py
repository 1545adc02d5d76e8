"""Checkpoints as those processes of a run see them that do not write."""
from typing import Any

from lmjax.checkpoints import store


class Following(store.Checkpoints):
  """Reads and verifies what another process of the same run has saved."""

  def preflight(self, state: Any) -> None:
    """Leaves it to the process that saves."""

  def save(self, *args: Any, **kwargs: Any) -> None:
    """Leaves it to the process that saves."""
