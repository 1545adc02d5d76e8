"""The score of a pretrained model on held-out text, and how text is laid out.
"""
from collections.abc import Callable, Sequence
import functools
from typing import Any

from lmjax.core import errors
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation import carried as carried_lib
from lmjax.evaluation import held_out
from lmjax.evaluation import infilling
from lmjax.evaluation import likelihood
from lmjax.evaluation import scoring as scoring_lib
from lmjax.evaluation import windows
from lmjax import experiment
from lmjax.parallel import mesh as mesh_lib
from lmjax.parallel import strategy


def window(config: experiment.Pretrain, tokenizer: tokenizer_lib.Tokenizer,
           length: int) -> int:
  """Returns the largest window in which a model scores held-out text.

  Args:
    config: The config of its run.
    tokenizer: Its tokenizer.
    length: Most tokens that the model reads.
  """
  if config.likelihood == 'span pseudo':
    return config.data.corruption.raw_length(length, tokenizer)
  return held_out.longest(config.likelihood, length)


def layout(config: experiment.Pretrain, tokenizer: tokenizer_lib.Tokenizer,
           scoring: scoring_lib.Scoring) -> windows.Lay:
  """Returns the function that lays held-out text out for a model's score.

  Args:
    config: The config of the model's run.
    tokenizer: Its tokenizer.
    scoring: The config of the windows, settled. Only a recurrent model's state
      can be carried, and only windows of plain text have a stride.

  Raises:
    InputError: If windows of a model that fills in spans are longer than in
      training.
  """
  if scoring.carried:
    return carried_lib.Windows(scoring.context)
  if config.likelihood == 'span pseudo':
    longest = window(
        config, tokenizer, config.data.length or config.model.context)
    if scoring.context > longest:
      raise errors.InputError(
          f'scoring.context = {scoring.context} should be at most {longest}, '
          'the tokens of a row in training: a longer text has more spans than '
          'the model has learned sentinels.')
    return infilling.Passes(
        config.data.corruption, tokenizer, scoring.context, scoring.batch_size)
  return windows.Layout(scoring.context, scoring.stride, scoring.batch_size)


def scorer(of: Any,
           devices: Sequence[Any] | strategy.Strategy | None = None,
           carried: bool = False, filled: bool = False
           ) -> Callable[[Any], likelihood.Score] | None:
  """Returns `score_of(params)`: the likelihood that an objective defines.

  Args:
    of: A run, such as `prepared.Prepared` or `trained.Trained`, with its
      config, its model and its tokenizer.
    devices: Devices that share each batch, or a run's strategy; None means one
      device. A mesh divides parameters as in training; otherwise each device
      has all parameters.
    carried: Whether the state of a recurrent model is carried from batch to
      batch, as with `Scoring.carried`; this uses one device.
    filled: Whether batches are the rows of `infilling.Passes`, rather than
      windows of plain text.

  Returns:
    The function, or None if the objective defines no likelihood.
  """
  if of.config.objective.likelihood == 'none':
    return None
  if carried:
    return carried_lib.scorer(of.model)
  if filled:
    objective = of.config.objective
    score_of = _compiled(objective.row_scores(of.model), devices)
    return lambda params: likelihood.WithFields.of(
        score_of(params), objective.row_fields)
  return _compiled(of.config.objective.scores(of.model, of.tokenizer), devices)


def _compiled(scores, devices):
  """Returns `score_of(params)`, which shares its batches among devices."""
  if isinstance(devices, mesh_lib.Mesh):
    score = devices.map_batches(scores)
    return lambda params: functools.partial(score, devices.place(params))
  devices = getattr(devices, 'devices', devices)
  if devices is not None and len(devices) == 1:
    devices = None
  return lambda params: likelihood.of_params(scores, params, devices)
