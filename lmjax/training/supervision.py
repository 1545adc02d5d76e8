"""What watches over a run from outside its arithmetic."""
from collections.abc import Callable
import contextlib
import dataclasses
from typing import Any, Protocol

from lmjax.parallel import channel
from lmjax.training import writers


class Interrupts(Protocol):
  """Says whether something asks the run to stop, such as a signal."""

  def requested(self) -> str | None:
    """Returns what asks the run to save and stop, or None."""


def _unwatched(what: str) -> contextlib.AbstractContextManager[None]:
  del what
  return contextlib.nullcontext()


@dataclasses.dataclass(frozen=True)
class Supervision:
  """What `loop.fit` consults and tells; by default nothing does anything.

  Attributes:
    interrupts: Whether the run should save and stop now.
    watching: `watching('step 3')` is a context; what is inside may not take
      too long.
    events: Is told what happened at which step, such as a bad one.
    documents: From a step (counted from 0) to what its batch was made of, as
      JSON; for the events.
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
    """Writes the event of a step that changed nothing."""
    if self.events is None:
      return
    documents = {} if self.documents is None else {
        'documents': self.documents(step - 1)}
    self.events.write(step, {'event': 'bad step'} | known | documents)

  def requested(self) -> str | None:
    """Returns what asks the run to save and stop, or None."""
    return self.interrupts and self.interrupts.requested()
