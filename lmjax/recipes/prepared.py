"""Builds the parts of pretraining from its config.

`pretraining` trains with these parts, `--dry_run` describes them, `comparison`
times them, and `replay` repeats a step with them.
"""
import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import optax

from lmjax.core import errors
from lmjax.core import terminal
from lmjax.data import pipeline
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation import held_out
from lmjax import experiment
from lmjax import models
from lmjax.models import cost
from lmjax.models.counted import word_vectors
from lmjax.models import decoder
from lmjax.nn import attend
from lmjax.objectives import lm
from lmjax.parallel import processes
from lmjax.recipes import beginning
from lmjax.training import step as step_lib


@dataclasses.dataclass(frozen=True)
class Prepared:
  """The parts of a run.

  Attributes:
    config: The config of the run.
    data: The tokenized splits.
    batches: The training batches by step.
    sized: The model's config with the tokenizer's vocabulary size.
    model: The model.
    objective: The objective to minimise.
    optimizer: The optimizer.
  """
  config: experiment.Pretrain
  data: pipeline.Data
  batches: pipeline.Batches
  sized: models.Config
  model: nn.Module
  objective: lm.Objective
  optimizer: optax.GradientTransformation

  @property
  def tokenizer(self) -> tokenizer_lib.Tokenizer:
    return self.data.tokenizer

  @functools.cached_property
  def shapes(self) -> Any:
    """The parameters as shapes, without arrays."""
    return cost.shapes(self.sized)

  @property
  def carry(self) -> Any:
    """The initial value that the objective carries between batches, or None."""
    start = getattr(self.config.objective, 'carry', None)
    return start and start(self.model, self.config.data.batch_size)

  def initial_params(self) -> Any:
    """Returns the initial parameters: random, or those of a run.

    They are those of the run `config.init`, if there is one. Otherwise, the
    embedding may be that of `config.vectors`.

    Raises:
      InputError: If that run cannot be read, or the size of the vectors is not
        that of the embedding.
    """
    if self.config.init is not None:
      return beginning.params(self.config.init, self.sized)
    params = decoder.initial_params(self.model, self.config.training.seed)
    if self.config.vectors is None:
      return params
    table = self.config.vectors.table(
        held_out.Documents(self.data.train), self.tokenizer)
    if table.summary:
      print(terminal.printable(table.summary), flush=True)
    return word_vectors.into(params, table.vectors_VD, ids=table.rows)

  def initial_state(self) -> step_lib.TrainState:
    """Returns the state before step 0."""
    return self._state(self.initial_params())

  @functools.cached_property
  def state_shapes(self) -> step_lib.TrainState:
    """The initial state as shapes, without arrays."""
    return jax.eval_shape(self._state, self.shapes)

  def _state(self, params):
    return _initial_state(self.config, params, self.optimizer, self.carry)

  @functools.cached_property
  def flops_per_step(self) -> float:
    """FLOPs of a training step, on all devices."""
    plain = self.config.objective.build(
        self.sized.build(attend=attend.plain), self.tokenizer)
    return cost.training_flops(plain, self.shapes, self.batches(0))


def prepare(config: experiment.Pretrain, workdir: str) -> Prepared:
  """Builds the parts of a run; text that is not in the cache is tokenized.

  Args:
    config: The config of the run.
    workdir: The run directory, for the cache if `config.data.cache` is None.

  Raises:
    InputError: If parts do not fit together, or the text cannot be read.
  """
  with processes.in_turn('cache'):
    data = config.data.build(
        workdir, beginning.tokenizer(config, workdir), config.model.context)
  sized = config.model.with_vocab(data.tokenizer.vocab_size)
  model = sized.build()
  return Prepared(
      config, data, data.batches(), sized, model,
      config.objective.build(model, data.tokenizer),
      config.optimizer.build(cost.shapes(sized), config.training.steps))


def _initial_state(config, params, optimizer, carry=None):
  training = config.training
  return step_lib.init_state(
      params, optimizer, training.seed, ema=training.ema_decay is not None,
      equal=training.average is not None, carry=carry, guard=training.guard)


def sized(config: Any) -> experiment.Pretrain:
  """Returns a config with the sizes of state and batch, known without text.

  Raises:
    InputError: If the run is not pretraining with `Causal`, or its vocabulary
      size depends on its text.
  """
  if not isinstance(config, experiment.Pretrain) or not isinstance(
      config.objective, lm.Causal):
    raise errors.InputError(
        'A plan needs pretraining with the objective Causal; got '
        f'{type(getattr(config, "objective", config)).__name__}.')
  if config.model.vocab_size is not None:
    return config
  size = config.data.vocab_size()
  if size is None:
    raise errors.InputError(
        'A plan reads no text, on which the vocabulary size of '
        f'{type(config.data.tokenizer).__name__} depends: set '
        '--config.model.vocab_size, such as 50257.')
  return dataclasses.replace(config, model=config.model.with_vocab(size))


def state_shapes(config: experiment.Pretrain
                 ) -> tuple[step_lib.TrainState, optax.GradientTransformation]:
  """Returns the state of a run as shapes, and its optimizer; reads no data."""
  shapes = cost.shapes(config.model)
  optimizer = config.optimizer.build(shapes, config.training.steps)
  return jax.eval_shape(
      lambda params: _initial_state(config, params, optimizer), shapes
  ), optimizer


def batch_shapes(rows: int, length: int) -> dict[str, jax.ShapeDtypeStruct]:
  """Returns a packed batch as shapes."""
  kinds = dict(inputs='int32', targets='int32', weights='float32',
               positions='int32', segments='int32')
  return {name: jax.ShapeDtypeStruct((rows, length), kind)
          for name, kind in kinds.items()}
