"""What watches over a run from outside its arithmetic."""
from collections.abc import Callable
import dataclasses
from typing import Any

from lmjax.training import channel
from lmjax.training import signals
from lmjax.training import watchdog as watchdog_lib
from lmjax.training import writers


@dataclasses.dataclass(frozen=True)
class Supervision:
  """What `loop.fit` consults and tells; by default nothing does anything.

  Attributes:
    interrupts: Whether the run should save and stop now.
    watchdog: Ends the process where a part of a step takes too long.
    events: Is told what happened at which step, such as a bad one.
    documents: From a step (counted from 0) to what its batch was made of, as
      JSON; for the events.
    replicas_every: Steps between checks that all devices hold the same state;
      None never checks.
    group: The processes of the run, which stop at the same step.
  """
  interrupts: signals.Interrupts | None = None
  watchdog: watchdog_lib.Watchdog = watchdog_lib.Watchdog(None)
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
