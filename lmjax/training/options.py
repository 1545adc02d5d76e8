"""How a model trains: the options that pretraining and fine-tuning share."""
import dataclasses
from typing import Literal

from lmjax.core import changes
from lmjax.core import errors
from lmjax.parallel import sharding
from lmjax.parallel import strategy as strategy_lib
from lmjax.training import averaging
from lmjax.training import guard as guard_lib
from lmjax.training import stopping

# What the arrays of a checkpoint are like, and what is only watched or kept.
# (On another mesh numbers differ by rounding.)
CHANGES = changes.Rules(
    structural=(
        'optimizer.kind', 'optimizer.freeze', 'optimizer.moments',
        'training.ema_decay', 'training.average', 'training.guard.spike.kind',
        'training.guard.spike.window'),
    cosmetic=(
        'training.log_every', 'training.save_every', 'training.save_minutes',
        'training.keep_last', 'training.keep_best',
        'training.max_failed_saves', 'training.replicas_every',
        'training.workers', 'training.mesh', 'training.sequence',
        'training.offload', 'training.guard.max_bad_steps'),
    notes=(
        ('training.steps',
         'training.steps: the schedules Cosine, Linear, WarmupStableDecay and '
         'StepDecay stretch over the run, so with another number of steps the '
         'learning rate jumps where the run goes on; with Constant and '
         'InverseSquareRoot it does not.'),))


@dataclasses.dataclass(frozen=True)
class Training:
  """How long a model trains, where, and what is watched meanwhile.

  Attributes:
    steps: Updates.
    seed: Of initial parameters and dropout.
    parallel: 'jit' on one device, 'pmap' data-parallel on all of them,
      'mesh' on all of them along named axes.
    mesh: Sizes of the mesh's axes, such as 'data:2,fsdp:2,tensor:2': `data`
      shares the rows of a batch, `fsdp` these and parameters at rest, `expert`
      these and the experts of a mixture, `sequence` the tokens of a row,
      `tensor` every product, `stage` the layers. None: all devices along fsdp.
    sequence: How attention meets all tokens of a row that devices divide: in a
      'ring' their keys go round; with 'ulysses' devices exchange tokens for
      heads, which have to divide, and attend by the platform's kernel.
    offload: What waits in the host's memory between steps, under jit and mesh:
      the 'optimizer' or 'none'; costs its way there and back at every step.
    microbatches: Parts a device's rows are cut into, to save memory; gradients
      are summed over their tokens, so the update stays the same. Over stages
      the parts follow each other, so that all stages have work.
    ema_decay: What a moving average of the parameters keeps at each step; the
      average is then what is evaluated and sampled from. None keeps none.
    average: When an equal average of the parameters begins, which is then what
      is evaluated and sampled from, as in NT-ASGD. None never begins.
    guard: Which steps are bad and change nothing, and how many of them in a row
      end the run.
    log_every: Steps between rows of `metrics.jsonl`.
    eval_every: Steps between evaluations on held-out text; None only at the
      end.
    eval_tokens: Held-out tokens scored then; the report at the end scores all.
    save_every: Steps between checkpoints; None saves at evaluations.
    save_minutes: Minutes after which there is one besides; None: by steps
      alone.
    keep_last: Newest checkpoints kept.
    keep_best: Best checkpoints kept besides.
    max_failed_saves: Saves in a row that may fail, as on a full disk, before
      the run ends.
    replicas_every: Steps between checks that all devices hold the same state,
      under pmap and mesh; None never checks.
    workers: Threads that make batches.
    stop: When to give up on improvement.
  """
  steps: int = 1000
  seed: int = 0
  parallel: Literal['jit', 'pmap', 'mesh'] = 'jit'
  mesh: str | None = None
  sequence: Literal['ring', 'ulysses'] = 'ring'
  offload: Literal['none', 'optimizer'] = 'none'
  microbatches: int = 1
  ema_decay: float | None = None
  average: averaging.NonMonotone | None = None
  guard: guard_lib.Guard = guard_lib.Guard()
  log_every: int = 10
  eval_every: int | None = None
  eval_tokens: int = 200_000
  save_every: int | None = None
  save_minutes: float | None = None
  keep_last: int = 2
  keep_best: int = 1
  max_failed_saves: int = 3
  replicas_every: int | None = 1000
  workers: int = 1
  stop: stopping.EarlyStopping = stopping.EarlyStopping()

  def __post_init__(self):
    for field in ('steps', 'microbatches', 'log_every', 'eval_every',
                  'eval_tokens', 'save_every', 'keep_last',
                  'max_failed_saves', 'replicas_every', 'workers'):
      value = getattr(self, field)
      if value is not None and value < 1:
        raise errors.InputError(
            f'training.{field} should be at least 1; got {value}.')
    if self.mesh is not None:
      sharding.parse(self.mesh)
      if self.parallel != 'mesh':
        raise errors.InputError(
            f'training.mesh is {self.mesh!r}, but training.parallel is '
            f'{self.parallel!r}; with a mesh, set --parallel=mesh.')
    if self.save_minutes is not None and self.save_minutes <= 0:
      raise errors.InputError(
          'training.save_minutes should be above 0; got '
          f'{self.save_minutes}.')
    if self.ema_decay is not None and not 0 < self.ema_decay < 1:
      raise errors.InputError(
          f'training.ema_decay should be in (0, 1); got {self.ema_decay}.')

  def mesh_sizes(self, devices: int) -> dict[str, int]:
    """Returns the sizes of the mesh's axes, on so many devices if not given.

    Under pmap, all devices share the rows of a batch.
    """
    if self.parallel == 'jit':
      return sharding.parse('data:1')
    if self.parallel == 'pmap':
      return sharding.parse(f'data:{devices}')
    return sharding.parse(self.mesh or f'fsdp:{devices}')

  def strategy(self) -> strategy_lib.Strategy:
    """Returns where it trains; raises InputError where that does not fit."""
    return strategy_lib.strategy(
        self.parallel, self.mesh, self.offload, self.sequence)
