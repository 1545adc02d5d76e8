"""Training options that pretraining and fine-tuning share."""
import dataclasses
from typing import Literal

from lmjax.core import changes
from lmjax.core import errors
from lmjax.core import ranges
from lmjax.parallel import sharding
from lmjax.parallel import strategy as strategy_lib
from lmjax.training import averaging
from lmjax.training import guard as guard_lib
from lmjax.training import stopping
from lmjax.training import trackers as trackers_lib
from lmjax.training.trackers import tensorboard

# Structural fields change the arrays of a checkpoint; cosmetic ones change only
# logs, saves and placement. (On another mesh numbers differ by rounding.)
CHANGES = changes.Rules(
    # Of a model, or of a part of one that is a model of its own. Scanned layers
    # round differently than looped ones, and draw other dropout.
    fitting=tuple(
        f'model.{part}{field}' for field in ('scan', 'remat')
        for part in ('', 'trunk.', 'generator.', 'discriminator.')),
    structural=(
        'optimizer.kind', 'optimizer.freeze', 'optimizer.moments',
        'training.ema_decay', 'training.average', 'training.guard.spike.kind',
        'training.guard.spike.window'),
    cosmetic=(
        'training.log_every', 'training.save_every', 'training.save_minutes',
        'training.keep_last', 'training.keep_best',
        'training.max_failed_saves', 'training.replicas_every',
        'training.workers', 'training.mesh', 'training.sequence',
        'training.offload', 'training.guard.max_bad_steps',
        'training.trackers', 'training.histogram_every'),
    notes=(
        ('training.steps',
         'training.steps: the schedules Cosine, Linear, WarmupStableDecay and '
         'StepDecay span the whole run, so with another number of steps the '
         'learning rate jumps where the run continues; with Constant and '
         'InverseSquareRoot it does not.'),))


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Training:
  """How long and where a model trains, and how it is logged and saved.

  Attributes:
    steps: Number of updates.
    seed: Seed of initial parameters and dropout.
    parallel: 'jit' on one device, 'pmap' data-parallel on all devices, 'mesh'
      on all devices along named axes.
    mesh: Sizes of the mesh's axes, such as 'data:2,fsdp:2,tensor:2', by default
      all devices along fsdp. `data` divides the rows of a batch, `fsdp` rows
      and stored parameters, `expert` rows and the experts of a mixture,
      `sequence` the tokens of a row, `tensor` every matrix product, and `stage`
      the layers.
    sequence: How attention reaches all tokens of a row that devices divide. In
      a 'ring', keys pass from device to device; with 'ulysses', devices
      exchange tokens for heads, whose number they have to divide, and use the
      platform's attention kernel.
    offload: What to keep in host memory between steps, under jit and mesh: the
      state of the 'optimizer' or 'none'; it is copied in and out at every step.
    microbatches: Parts a device's rows are cut into, to save memory. Gradients
      are summed over their tokens, so the update is the same. With stages, the
      parts follow each other, so that all stages have work.
    ema_decay: Decay rate of a moving average of the parameters, which is then
      evaluated and sampled from; None keeps no average.
    average: Rule that starts an equal average of the parameters, as in NT-ASGD,
      which is then evaluated and sampled from; None keeps no average.
    guard: Decides which steps are bad and skipped, and how many in a row end
      the run.
    log_every: Steps between rows of `metrics.jsonl`.
    eval_every: Steps between evaluations on held-out text; None evaluates only
      at the end.
    eval_tokens: Held-out tokens that an evaluation scores; the report at the
      end scores all.
    save_every: Steps between checkpoints; None saves at evaluations.
    save_minutes: Minutes since the last checkpoint after which to save as well;
      None saves only by steps.
    keep_last: Number of newest checkpoints to keep.
    keep_best: Number of best checkpoints to keep as well.
    max_failed_saves: Consecutive saves that may fail, as on a full disk, before
      the run ends.
    replicas_every: Steps between checks that all devices hold the same state,
      under pmap and mesh; None never checks.
    workers: Number of threads that make batches.
    stop: When to stop early.
    trackers: Places that show the run, in addition to `metrics.jsonl`.
    histogram_every: Steps between histograms of parameters and gradients for
      the trackers; None makes none. They cost about as much as a step.
  """
  steps: ranges.Count = 1000
  seed: ranges.Seed = 0
  parallel: Literal['jit', 'pmap', 'mesh'] = 'jit'
  mesh: str | None = dataclasses.field(
      default=None, metadata={'implies': {'parallel': 'mesh'}})
  sequence: Literal['ring', 'ulysses'] = 'ring'
  offload: Literal['none', 'optimizer'] = 'none'
  microbatches: ranges.Count = 1
  ema_decay: ranges.ProperShare | None = None
  average: averaging.NonMonotone | None = None
  guard: guard_lib.Guard = guard_lib.Guard()
  log_every: ranges.Count = 10
  eval_every: ranges.Count | None = None
  eval_tokens: ranges.Count = 200_000
  save_every: ranges.Count | None = None
  save_minutes: ranges.Positive | None = None
  keep_last: ranges.Count = 2
  keep_best: ranges.Natural = 1
  max_failed_saves: ranges.Count = 3
  replicas_every: ranges.Count | None = 1000
  workers: ranges.Count = 1
  stop: stopping.EarlyStopping = stopping.EarlyStopping()
  trackers: tuple[trackers_lib.Config, ...] = (tensorboard.TensorBoard(),)
  histogram_every: ranges.Count | None = None

  def __post_init__(self):
    if self.mesh is not None:
      sharding.parse(self.mesh)
      if self.parallel != 'mesh':
        raise errors.InputError(
            f'training.mesh is {self.mesh!r}, which needs training.parallel = '
            f"'mesh'; got {self.parallel!r}. The flag --mesh alone implies "
            '--parallel=mesh.')

  def mesh_sizes(self, devices: int) -> dict[str, int]:
    """Returns the sizes of the mesh's axes.

    Args:
      devices: The number of devices, for pmap and for a mesh that is None.
    """
    if self.parallel == 'jit':
      return sharding.parse('data:1')
    if self.parallel == 'pmap':
      return sharding.parse(f'data:{devices}')
    return sharding.parse(self.mesh or f'fsdp:{devices}')

  def strategy(self) -> strategy_lib.Strategy:
    """Returns the strategy; raises InputError if the devices do not fit it."""
    return strategy_lib.strategy(
        self.parallel, self.mesh, self.offload, self.sequence)
