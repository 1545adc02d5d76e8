"""A profiler trace of a few steps in the middle of a run."""
import contextlib
import os
import pathlib

import jax

from lmjax.core.files import durable
from lmjax.core.files import plain


class Trace:
  """Records `count` steps of this process, after its first `first` steps.

  View the trace with TensorBoard's profile plugin, xprof or Perfetto. The first
  steps are not recorded, because they include compilation.
  """

  def __init__(
      self, directory: str | os.PathLike[str], first: int = 10, count: int = 5):
    self._directory = pathlib.Path(directory)
    self._first, self._count = first, count
    self._seen = 0
    self._running = contextlib.ExitStack()

  def before_step(self) -> None:
    """Starts or stops the recording at the right steps; call it before each."""
    if self._seen == self._first:
      durable.make_folder(self._directory)
      path = self._running.enter_context(plain.path(self._directory))
      jax.profiler.start_trace(str(path))
      self._running.callback(jax.profiler.stop_trace)
    elif self._seen == self._first + self._count:
      self.close()
    self._seen += 1

  def close(self) -> None:
    """Ends the recording if it is running."""
    self._running.close()
