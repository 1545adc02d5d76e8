"""What a run is made of: the configs of the scripts."""
import dataclasses
from typing import Any, ClassVar, Literal, Union

from lmjax.core import changes as changes_lib
from lmjax.core import errors
from lmjax.data import continuous
from lmjax.data import pipeline
from lmjax.data import text
from lmjax.data import tokenizers
from lmjax.data.tokenizers import subwords
from lmjax.evaluation import choices as choices_lib
from lmjax.generation import transforms
from lmjax.interop import taught
from lmjax import models
from lmjax.models import counted
from lmjax.models.counted import ngram
from lmjax.models.counted import word_vectors
from lmjax.models import decoder
from lmjax.models.heads import pooled
from lmjax.objectives import lm
from lmjax.objectives import OBJECTIVES
from lmjax.objectives import truncated
from lmjax.parallel import divisions
from lmjax.parallel import sharding
from lmjax.parallel import strategy as parallel_lib
from lmjax.tasks import classification
from lmjax.training import averaging
from lmjax.training import guard as guard_lib
from lmjax.training import optimizers
from lmjax.training.optimizers import adamw
from lmjax.training import stopping

# A student's teacher is a run, and runs are read above the objectives.
Objective = Union[(*OBJECTIVES.values(), taught.Taught)]


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

  def strategy(self) -> parallel_lib.Strategy:
    """Returns where it trains; raises InputError where that does not fit."""
    return parallel_lib.strategy(
        self.parallel, self.mesh, self.offload, self.sequence)

  def fit_options(self) -> dict[str, Any]:
    """Returns the arguments of `loop.fit` that are named as they are here."""
    return {name: getattr(self, name) for name in (
        'steps', 'microbatches', 'ema_decay', 'average', 'guard', 'eval_every',
        'save_every', 'save_minutes', 'log_every', 'stop', 'workers')}


# What the arrays of a checkpoint are like, and what is only watched or kept.
# (On another mesh numbers differ by rounding.)
_STRUCTURAL = (
    'optimizer.kind', 'optimizer.freeze', 'optimizer.moments',
    'training.ema_decay', 'training.average', 'training.guard.spike.kind',
    'training.guard.spike.window')
_COSMETIC = (
    'training.log_every', 'training.save_every', 'training.save_minutes',
    'training.keep_last', 'training.keep_best', 'training.max_failed_saves',
    'training.replicas_every', 'training.workers', 'training.mesh',
    'training.sequence', 'training.offload',
    'training.guard.max_bad_steps')
_STEPS = (
    'training.steps',
    'training.steps: the schedules Cosine, Linear, WarmupStableDecay and '
    'StepDecay stretch over the run, so with another number of steps the '
    'learning rate jumps where the run goes on; with Constant and '
    'InverseSquareRoot it does not.')
_SEED = (
    'training.seed',
    'training.seed: the checkpoint holds the parameters and the key that the '
    'saved seed gave, so another seed changes nothing from there on.')


@dataclasses.dataclass(frozen=True)
class Scoring:
  """How held-out text is scored.

  Attributes:
    context: Tokens a prediction may see; None takes the model's context.
    stride: Tokens between windows over a long document: smaller is slower and
      leaves every token more context. None takes half the context.
    batch_size: Rows at a time; changes the speed only.
    carried: Whether the state of a recurrent model is carried from window to
      window, so that each token sees its document from the start; runs mixed
      with it that have no state are scored in windows.
    tokens: About how many tokens are scored at the end; None scores all. For
      likelihoods that take a pass a token, such as a masked model's.
  """
  context: int | None = None
  stride: int | None = None
  batch_size: int = 32
  carried: bool = False
  tokens: int | None = None


@dataclasses.dataclass(frozen=True)
class Samples:
  """The samples a run shows at its end.

  Attributes:
    prompts: What they begin with; an empty one begins with BOS.
    max_new_tokens: Their length.
    sampling: How tokens are drawn.
    seed: Of the draws.
  """
  prompts: tuple[str, ...] = ('', '', '')
  max_new_tokens: int = 80
  sampling: transforms.Sampling = transforms.Sampling(
      temperature=0.8, top_p=0.95)
  seed: int = 0


@dataclasses.dataclass(frozen=True)
class Pretrain:
  """A run of `experiments/pretrain.py`.

  Attributes:
    data: What the model is trained and tested on.
    model: The model.
    vectors: Static word vectors that are learned first, of the model's width,
      and that its embedding begins with; None begins at random.
    objective: What is minimised.
    optimizer: How.
    training: How long, and what is watched meanwhile.
    scoring: How held-out text is scored.
    samples: What is sampled at the end.
    changes: What may differ when a run goes on. How text is scored meanwhile
      (`scoring.context`, `scoring.carried`) says which checkpoint is best.
  """
  data: pipeline.DataConfig = pipeline.DataConfig()
  model: models.Config = decoder.DecoderConfig()
  vectors: word_vectors.Config | None = None
  objective: Objective = lm.Causal()
  optimizer: optimizers.Config = adamw.AdamW()
  training: Training = Training()
  scoring: Scoring = Scoring()
  samples: Samples = Samples()
  changes: ClassVar = changes_lib.Rules(
      structural=_STRUCTURAL + (
          'model', 'vectors', 'data.tokenizer', 'data.specials',
          'data.sentinels'),
      cosmetic=_COSMETIC + (
          'data.cache', 'samples', 'scoring.stride', 'scoring.batch_size',
          'scoring.tokens'),
      notes=(_STEPS, _SEED))

  def __post_init__(self):
    streams = isinstance(self.data.packing, continuous.Continuous)
    if streams != isinstance(self.objective, truncated.TruncatedBPTT):
      raise errors.InputError(
          'Rows that go on where the last batch ended (data.packing = '
          'Continuous) belong to the objective that carries a state over '
          '(TruncatedBPTT), and it to them; got '
          f'{type(self.data.packing).__name__} and '
          f'{type(self.objective).__name__}.')
    if self.training.mesh is not None:
      divisions.check(
          self.model, sharding.parse(self.training.mesh),
          rows=self.data.batch_size, microbatches=self.training.microbatches,
          length=self.data.length or self.model.context,
          sequence=self.training.sequence)


@dataclasses.dataclass(frozen=True)
class Count:
  """A run of `experiments/pretrain.py` whose model is counted.

  Attributes:
    data: What it counts and is tested on.
    model: The n-gram model, or the hidden Markov model, which counts in
      expectation, several times.
    scoring: How held-out text is scored; by default so that every token sees
      all that the model can use of its document.
    changes: What may differ when the directory is used again.
  """
  data: pipeline.DataConfig = pipeline.DataConfig()
  model: counted.Config = ngram.NgramConfig()
  scoring: Scoring = Scoring(context=1024, stride=1019)
  changes: ClassVar = changes_lib.Rules(
      structural=('model', 'data.tokenizer'),
      cosmetic=('data.cache', 'scoring'))


@dataclasses.dataclass(frozen=True)
class Evaluate:
  """What `experiments/evaluate.py` asks of a pretrained run.

  Attributes:
    data: Text to score, all of it. None takes what the run itself held out, or
      no text at all if there are `choices`.
    split: Which part of the run's own text that is.
    scoring: How text is scored.
    baselines: Whether unigram and bigram, counted on the run's training text,
      stand beside the model.
    mix: Directories of other runs of the same tokenizer: their probabilities
      and the model's are interpolated, under weights fitted on the validation
      text of the run.
    choices: Questions, answered by likelihood.
    checkpoint: A step, 'best' or 'latest'.
  """
  data: text.Config | None = None
  split: Literal['train', 'valid', 'test'] = 'valid'
  scoring: Scoring = Scoring()
  baselines: bool = True
  mix: tuple[str, ...] = ()
  choices: choices_lib.Choices = choices_lib.Choices()
  checkpoint: str = 'best'


@dataclasses.dataclass(frozen=True)
class Finetune:
  """A run of `experiments/finetune.py`.

  Attributes:
    task: What to learn.
    init: A run directory of `experiments/pretrain.py`; None starts from
      scratch.
    tokenizer: How text becomes ids; from scratch only, as `init` has its own.
    model: The backbone; likewise.
    dropout: Rate in the backbone, on embeddings and both branches of a block;
      None keeps the backbone's own.
    head: What turns the backbone into a classifier.
    train_only: Patterns of the parameters that train, such as ('layer_3/',
      'classes/'); none trains all that `optimizer.freeze` does not hold.
    optimizer: How it trains.
    training: How long, and what is watched meanwhile: 'valid/loss',
      'valid/accuracy' or 'valid/macro_f1'.
    changes: What may differ when a run goes on.
  """
  task: classification.Classification = classification.Classification()
  init: str | None = None
  tokenizer: tokenizers.Config = subwords.SentencePiece()
  model: models.Config = decoder.DecoderConfig()
  dropout: float | None = None
  head: pooled.ClassifierConfig = pooled.ClassifierConfig()
  train_only: tuple[str, ...] = ()
  optimizer: optimizers.Config = adamw.AdamW()
  training: Training = Training()
  changes: ClassVar = changes_lib.Rules(
      structural=_STRUCTURAL + (
          'init', 'tokenizer', 'model', 'head', 'train_only'),
      cosmetic=_COSMETIC + ('task.metrics',), notes=(_STEPS,))
