"""TensorBoard's event files in the directory of a run."""
from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import os
import pathlib
import sys
import time
from typing import Any, ClassVar

import numpy as np

from lmjax.core.files import durable

_FLUSH_S = 60.0  # Time between flushes of the files, which are slow.


@dataclasses.dataclass(frozen=True)
class TensorBoard:
  """TensorBoard: `tensorboard --logdir=RUN/tensorboard` shows the run."""
  package: ClassVar[str | None] = None
  extra: ClassVar[str | None] = None

  def open(self, path: pathlib.Path, start: int) -> 'Events':
    """See `tracker.Config`."""
    return Events(path / 'tensorboard', start)


class Events:
  """Writes event files; see `tracker.Tracker`."""

  def __init__(self, directory: str | os.PathLike[str], start: int = 0):
    """Opens `directory`; hides events of earlier processes after `start`."""
    with _hidden('torch'):  # tensorboardX would import it, which takes 1.3 s.
      from tensorboardX import event_file_writer  # Imported only where needed.
      from tensorboardX.proto import event_pb2
    self._event = event_pb2.Event
    durable.make_folder(directory)
    # SummaryWriter is not used: on a full disk its thread would end, and later
    # calls would wait for that thread.
    self._events = event_file_writer.EventsWriter(
        os.path.join(directory, 'events'))
    self._flushed = time.monotonic()
    if start:
      self._write(step=start + 1, session_log=event_pb2.SessionLog(
          status=event_pb2.SessionLog.START))

  def write(self, step: int, row: Mapping[str, Any]) -> None:
    from tensorboardX import summary
    for name, value in row.items():
      if not isinstance(value, str):
        group = '' if '/' in name else 'train/'
        self._write(step=step, summary=summary.scalar(group + name, value))
    if time.monotonic() - self._flushed > _FLUSH_S:
      self._events.flush()
      self._flushed = time.monotonic()

  def describe(self, config: Mapping[str, Any]) -> None:
    from tensorboardX import summary
    plain = {name: value if isinstance(value, bool | int | float | str)
             else str(value) for name, value in config.items()}
    for part in summary.hparams(plain, {'train/loss': 0, 'valid/loss': 0}):
      self._write(summary=part)

  def text(self, step: int, name: str, text: str) -> None:
    from tensorboardX import summary
    # It is shown as Markdown, in which indented lines are as they are.
    shown = '\n'.join('    ' + line for line in text.split('\n'))
    self._write(step=step, summary=summary.text(name, shown))

  def histogram(self, step: int, name: str, counts: np.ndarray,
                edges: np.ndarray) -> None:
    from tensorboardX import summary
    middles = (edges[:-1] + edges[1:]) / 2
    self._write(step=step, summary=summary.histogram_raw(
        name, float(edges[0]), float(edges[-1]), float(counts.sum()),
        float(counts @ middles), float(counts @ middles**2),
        edges[1:].tolist(), counts.tolist()))

  def close(self) -> None:
    self._events.close()

  def _write(self, **fields):
    self._events.write_event(self._event(wall_time=time.time(), **fields))


@contextlib.contextmanager
def _hidden(name: str) -> Iterator[None]:
  """Makes a module look absent inside the block, unless it is imported."""
  if name in sys.modules:
    yield
    return
  sys.modules[name] = None
  try:
    yield
  finally:
    del sys.modules[name]
