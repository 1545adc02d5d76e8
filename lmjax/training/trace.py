"""A profiler trace of a few steps in the middle of a run."""
import jax


class Trace:
  """Records `count` steps of this process, after its first `first` steps.

  View the trace with TensorBoard's profile plugin, xprof or Perfetto. The first
  steps are not recorded, because they include compilation.
  """

  def __init__(self, directory: str, first: int = 10, count: int = 5):
    self._directory, self._first, self._count = str(directory), first, count
    self._seen = 0
    self._running = False

  def before_step(self) -> None:
    """Starts or stops the recording at the right steps; call it before each."""
    if self._seen == self._first:
      jax.profiler.start_trace(self._directory)
      self._running = True
    elif self._seen == self._first + self._count:
      self.close()
    self._seen += 1

  def close(self) -> None:
    """Ends the recording if it is running."""
    if self._running:
      jax.profiler.stop_trace()
      self._running = False
