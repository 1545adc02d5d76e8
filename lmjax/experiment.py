"""The configs of the scripts."""
import dataclasses
from typing import ClassVar, Literal, Union

from lmjax.core import changes as changes_lib
from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.core import ranges
from lmjax.data import continuous
from lmjax.data import pipeline
from lmjax.data import text
from lmjax.data import tokenizers
from lmjax.data.tokenizers import subwords
from lmjax.evaluation.choice import choices as choices_lib
from lmjax.evaluation.choice import open_answers
from lmjax.evaluation import scoring as scoring_lib
from lmjax.generation import samples as samples_lib
from lmjax.interop import taught
from lmjax.interop import vector_file
from lmjax import models
from lmjax.models import counted
from lmjax.models.counted import ngram
from lmjax.models.counted import word_vectors
from lmjax.models import decoder
from lmjax.objectives import OBJECTIVES
from lmjax.objectives import lm
from lmjax.objectives import prefix
from lmjax.objectives import seq2seq
from lmjax.objectives import truncated
from lmjax.parallel import divisions
from lmjax.parallel import sharding
from lmjax import tasks
from lmjax.tasks import classification
from lmjax.tasks import together
from lmjax.training import optimizers
from lmjax.training.optimizers import adamw
from lmjax.training import options

# `Taught` is in `interop` because it reads a run, which objectives may not.
Objective = Union[(*OBJECTIVES.values(), taught.Taught)]

_SEED = (
    'training.seed',
    'training.seed: the checkpoint holds the parameters and the key that the '
    'saved seed gave, so another seed changes nothing from there on.')


@dataclasses.dataclass(frozen=True)
class Pretrain:
  """A run of `experiments/pretrain.py`.

  Attributes:
    data: The data that the model is trained and tested on.
    model: The model.
    init: A run directory of `experiments/pretrain.py` or `import_weights.py`,
      from whose parameters to train on, with its model and tokenizer; None
      starts from scratch.
    vectors: Static word vectors of the model's width, to learn first or from a
      file, which initialise its embedding; None initialises it at random.
    objective: The loss to minimise.
    optimizer: The optimizer.
    training: The length of training, and its metrics, saves and checks.
    scoring: How held-out text is scored.
    samples: The samples drawn at the end.
    changes: Which fields are structural or cosmetic; see `changes.Rules`.
      `scoring.context` and `scoring.carried` are neither, as they determine
      which checkpoint is the best.
  """
  data: pipeline.DataConfig = pipeline.DataConfig()
  model: models.Config = decoder.DecoderConfig()
  init: user_paths.Path | None = None
  vectors: word_vectors.Config | vector_file.VectorFile | None = None
  objective: Objective = lm.Causal()
  optimizer: optimizers.Config = adamw.AdamW()
  training: options.Training = options.Training()
  scoring: scoring_lib.Scoring = scoring_lib.Scoring()
  samples: samples_lib.Samples = samples_lib.Samples()
  changes: ClassVar = options.CHANGES.extended(
      structural=(
          'model', 'init', 'vectors', 'data.tokenizer', 'data.specials',
          'data.sentinels'),
      cosmetic=(
          'data.cache', 'samples', 'scoring.stride', 'scoring.batch_size',
          'scoring.tokens'),
      notes=(_SEED,))

  @property
  def likelihood(self) -> str:
    """The kind of likelihood of held-out text, a key of `held_out.KINDS`.

    A model that learned to fill in spans is scored by how well it fills them.
    """
    fills = isinstance(self.objective, seq2seq.Seq2Seq | prefix.PrefixLM)
    of_spans = fills and self.data.corruption and (
        self.data.corruption.likelihood)
    return of_spans or self.objective.likelihood

  def __post_init__(self):
    _check_embedding(self)
    streams = isinstance(self.data.packing, continuous.Continuous)
    if streams != isinstance(self.objective, truncated.TruncatedBPTT):
      raise errors.InputError(
          'data.packing = Continuous, whose rows continue those of the last '
          'batch, and objective = TruncatedBPTT, which carries the state from '
          'batch to batch, can only be used together; got '
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
  """A run of `experiments/pretrain.py` with a model that counts.

  Attributes:
    data: The data that the model counts and is tested on.
    model: The n-gram model, or the hidden Markov model, which takes expected
      counts several times.
    scoring: How held-out text is scored; by default every token sees all of its
      document that the model can use.
    changes: Which fields are structural or cosmetic.
  """
  data: pipeline.DataConfig = pipeline.DataConfig()
  model: counted.Config = ngram.NgramConfig()
  scoring: scoring_lib.Scoring = scoring_lib.Scoring(context=1024, stride=1019)
  changes: ClassVar = changes_lib.Rules(
      structural=('model', 'data.tokenizer'),
      cosmetic=('data.cache', 'scoring'))

  @property
  def context(self) -> int:
    """The tokens of a window in which text is scored."""
    return self.scoring.context or self.data.length or 1024


@dataclasses.dataclass(frozen=True)
class Evaluate:
  """An evaluation of a pretrained run by `experiments/evaluate.py`.

  Attributes:
    data: A text to score completely. None takes the run's own held-out text, or
      no text if there are `choices` or `answers`.
    split: The split of the run's own text to score.
    scoring: How text is scored.
    baselines: Whether to add a unigram and a bigram, counted on the run's
      training text.
    mix: Directories of other runs with the same tokenizer, whose probabilities
      are interpolated with the model's; weights are fitted on the run's
      validation text.
    choices: Multiple-choice questions, answered by likelihood.
    answers: Questions whose answers the model writes.
    checkpoint: The checkpoint to read: a step, 'best' or 'latest'.
  """
  data: text.Config | None = None
  split: Literal['train', 'valid', 'test'] = 'valid'
  scoring: scoring_lib.Scoring = scoring_lib.Scoring()
  baselines: bool = True
  mix: tuple[user_paths.Path, ...] = ()
  choices: choices_lib.Choices = choices_lib.Choices()
  answers: open_answers.OpenAnswers = open_answers.OpenAnswers()
  checkpoint: str = 'best'


# Tasks that are trained together are of the other kinds, and above them.
Task = Union[(*tasks.TASKS.values(), together.Together)]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Finetune:
  """A run of `experiments/finetune.py`.

  Attributes:
    task: The task to learn.
    init: A run directory of `experiments/pretrain.py`, or of
      `experiments/finetune.py`, whose head is left behind; None starts from
      scratch.
    tokenizer: How text becomes ids, if there is no `init`, which has a
      tokenizer.
    model: The backbone, if there is no `init`, which has a model.
    vectors: Static word vectors of the model's width, from a file or learned on
      the training texts, which initialise its embedding, if there is no `init`;
      None initialises it at random. `optimizer.freeze=embed/` keeps them.
    dropout: Dropout rate of the backbone's embeddings and of both branches of
      its blocks; None keeps the backbone's rates.
    train_only: Patterns of the parameters to train, such as ('layer_3/',
      'classes/'); () trains all that `optimizer.freeze` does not freeze.
    optimizer: The optimizer.
    training: The length of training, and its metrics, saves and checks; the
      metric for the best checkpoint is 'valid/loss' or another metric of the
      task, such as 'valid/accuracy' or 'valid/macro_f1'.
    changes: Which fields are structural or cosmetic.
  """
  task: Task = classification.Classification()
  init: user_paths.Path | None = None
  tokenizer: tokenizers.Config = subwords.SentencePiece()
  model: models.Config = decoder.DecoderConfig()
  vectors: word_vectors.Config | vector_file.VectorFile | None = None
  dropout: ranges.Rate | None = None
  train_only: tuple[str, ...] = ()
  optimizer: optimizers.Config = adamw.AdamW()
  training: options.Training = options.Training()
  changes: ClassVar = options.CHANGES.extended(
      structural=(
          'init', 'tokenizer', 'model', 'vectors', 'task.kind', 'task.head',
          'train_only'),
      cosmetic=('task.metrics',))

  def __post_init__(self):
    _check_embedding(self)


def _check_embedding(config):
  """Raises InputError if an embedding would come from two places."""
  if config.init is not None and config.vectors is not None:
    raise errors.InputError(
        'config.init has an embedding already, which config.vectors would '
        'replace; leave out one of them.')
