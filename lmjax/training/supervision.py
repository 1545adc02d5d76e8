"""Supervision of a run: requests to stop, a watchdog, events and processes."""
from collections.abc import Callable
import contextlib
import dataclasses
from typing import Any, Protocol

from lmjax.parallel import channel
from lmjax.training import writers


class Interrupts(Protocol):
  """A source of requests to stop, such as signals."""

  def requested(self) -> str | None:
    """Returns the name of a request to save and stop, or None."""


def _unwatched(what: str) -> contextlib.AbstractContextManager[None]:
  del what
  return contextlib.nullcontext()


@dataclasses.dataclass(frozen=True)
class Supervision:
  """The supervision that `loop.fit` uses; by default there is none.

  Attributes:
    interrupts: Source of requests to save and stop.
    watching: Function from a name, such as 'step 3', to a context manager that
      limits the time spent inside it.
    events: Writer of unusual events, such as bad steps.
    documents: Function from a step (counted from 0) to the documents in its
      batch, as JSON; written with events.
    replicas_every: Steps between checks that all devices hold the same state;
      None never checks.
    group: The processes of the run, which stop at the same step.
  """
  interrupts: Interrupts | None = None
  watching: Callable[[str], contextlib.AbstractContextManager] = _unwatched
  events: writers.Writer | None = None
  documents: Callable[[int], Any] | None = None
  replicas_every: int | None = None
  group: channel.Group = channel.Group()

  def bad_step(self, step: int, known: dict[str, Any]) -> None:
    """Writes the event of a bad step, whose update was skipped."""
    if self.events is None:
      return
    documents = {} if self.documents is None else {
        'documents': self.documents(step - 1)}
    self.events.write(step, {'event': 'bad step'} | known | documents)

  def requested(self) -> str | None:
    """Returns the name of a request to save and stop, or None."""
    return self.interrupts and self.interrupts.requested()
