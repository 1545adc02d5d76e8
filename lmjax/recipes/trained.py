"""Runs of `experiments/pretrain.py`, read back from their directories."""
from collections.abc import Callable, Sequence
import dataclasses
import functools
import pathlib
from typing import Any

import flax.linen as nn

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core import trees
from lmjax.data import token_store as store_lib
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation import carried as carried_lib
from lmjax.evaluation import held_out
from lmjax.evaluation import interpolation
from lmjax.evaluation import likelihood
from lmjax.evaluation import scoring as scoring_lib
from lmjax.evaluation import windows
from lmjax import experiment
from lmjax.interop import runs
from lmjax.models.counted import hmm
from lmjax.models.counted import ngram
from lmjax.parallel import mesh as mesh_lib
from lmjax.parallel import strategy
from lmjax.recipes import prepared
from lmjax.run import directory


@dataclasses.dataclass(frozen=True)
class Trained:
  """A pretrained run, read back.

  Attributes:
    config: What it was trained with; `config.model` has its vocabulary.
    tokenizer: Text to ids and back.
    model: The module.
    params: Its parameters, verified against their digests.
    step: The checkpoint they are from.
  """
  config: experiment.Pretrain
  tokenizer: tokenizer_lib.Tokenizer
  model: nn.Module
  params: Any
  step: int

  @property
  def kind(self) -> str:
    """The likelihood that `score` gives, of `held_out.KINDS`."""
    return self.config.objective.likelihood

  @property
  def context(self) -> int:
    """The default number of tokens of a window in which text is scored."""
    data = self.config.data
    return held_out.longest(self.kind, (
        self.config.scoring.context or data.length
        or self.config.model.context))

  @property
  def carries(self) -> bool:
    """Whether it has a state that can be carried from window to window."""
    return self.config.model.traits.carries_state

  @property
  def digest(self) -> str:
    """SHA-256 of the parameters."""
    return trees.digest(self.params)

  def score(self, devices: Sequence[Any] | None = None, carried: bool = False
            ) -> likelihood.Score:
    """Returns the likelihood that its objective defines; see `scorer`.

    Raises:
      InputError: If the objective defines none.
    """
    score_of = scorer(self, devices, carried)
    if score_of is None:
      raise errors.InputError(
          f'{type(self.config.objective).__name__} defines no likelihood of a '
          'text; fine-tune the run on a task, or embed text with it.')
    return score_of(self.params)


@dataclasses.dataclass(frozen=True)
class Counted:
  """A run of a counted model, read back; to `evaluate.py` like `Trained`.

  Attributes:
    config: What it was made with.
    tokenizer: Text to ids and back.
    model: The counted model, which is its own score.
    step: 0.
  """
  config: experiment.Count
  tokenizer: tokenizer_lib.Tokenizer
  model: ngram.Ngram | hmm.Hmm
  step: int = 0
  kind = 'exact'  # The likelihood that `score` gives, of `held_out.KINDS`.
  carries = False  # A window is given all that the model can use.

  @property
  def context(self) -> int:
    """The default number of tokens of a window in which text is scored."""
    return self.config.context

  @property
  def digest(self) -> str:
    """SHA-256 of the tables."""
    return self.model.digest

  def score(self, devices: Any = None, carried: bool = False
            ) -> likelihood.Score:
    """Returns the model; the arguments are for those that are trained."""
    del devices, carried
    return self.model


def scorer(of: prepared.Prepared | Trained,
           devices: Sequence[Any] | strategy.Strategy | None = None,
           carried: bool = False
           ) -> Callable[[Any], likelihood.Score] | None:
  """Returns `score_of(params)`: the likelihood that an objective defines.

  Args:
    of: A run, with its objective's config, its model and its tokenizer.
    devices: Devices that share each batch, or those of a run's strategy; a mesh
      divides parameters as in training, others have all of them on each
      device. None: one device.
    carried: Whether the state of a recurrent model is carried from batch to
      batch, as `Scoring.carried` says; on one device.

  Returns:
    The function, or None where there is no likelihood.
  """
  if of.config.objective.likelihood == 'none':
    return None
  if carried:
    return carried_lib.scorer(of.model)
  scores = of.config.objective.scores(of.model, of.tokenizer)
  if isinstance(devices, mesh_lib.Mesh):
    score = devices.map_batches(scores)
    return lambda params: functools.partial(score, devices.place(params))
  devices = getattr(devices, 'devices', devices)
  if devices is not None and len(devices) == 1:
    devices = None
  return lambda params: likelihood.of_params(scores, params, devices)


def load(workdir: str | pathlib.Path, step: int | str = 'best') -> Trained:
  """Reads a run directory of `experiments/pretrain.py`.

  Args:
    workdir: The directory.
    step: A checkpoint's number, 'best' or 'latest'.

  Raises:
    InputError: If the directory is no run, or holds no sound checkpoint, or a
      model that has no parameters.
  """
  found = load_any(workdir, step)
  if isinstance(found, Counted):
    raise errors.InputError(
        f'{workdir} is the run of a counted model, which can only be scored: '
        'by experiments/evaluate.py.')
  return found


def load_any(workdir: str | pathlib.Path, step: int | str = 'best'
             ) -> Trained | Counted:
  """Reads a run directory whatever its model; see `load`."""
  run = directory.RunDir(pathlib.Path(workdir))
  config = read_config(run)
  if isinstance(config, experiment.Count):
    return Counted(config, tokenizer_lib.load(run.tokenizer),
                   config.model.load(run.counts))
  found = runs.restore(run, config.model, step)
  config = dataclasses.replace(config, model=found.config)
  return Trained(
      config, found.tokenizer, found.model, found.params, found.step)


def read_config(
    run: directory.RunDir) -> experiment.Pretrain | experiment.Count:
  """Returns the config of a run directory; refuses that of a fine-tuned run."""
  tree = runs.read_config(run)
  runs.refuse_tuned(run, tree)
  return config_lib.freeze(experiment.Pretrain | experiment.Count, tree)


def texts(run: Trained | Counted, config: experiment.Evaluate, workdir: str
          ) -> tuple[store_lib.TokenStore, store_lib.TokenStore | None]:
  """Returns the tokens to score, and those to count baselines on or None.

  Raises:
    InputError: If the run has no such split.
  """
  data, cache = run.config.data, pathlib.Path(workdir) / 'cache'
  own = None
  if config.data is None or config.baselines:
    own = data.build(workdir, tokenizer=run.tokenizer)
  text = getattr(own, config.split) if config.data is None else (
      store_lib.cached(config.data, run.tokenizer, data.cache or cache))
  if text is None:
    raise errors.InputError(
        f'The run {workdir} has no {config.split} split; choose another '
        '--config.split, or give text: --config.data.kind=TextFiles '
        '--config.data.paths=...')
  return text, own.train if config.baselines else None


def reading(run: Trained | Counted, scoring: scoring_lib.Scoring,
            devices: Sequence[Any] | None = None
            ) -> tuple[likelihood.Score, Callable[..., Any]]:
  """Returns the score of a run, and how it wants documents laid out.

  Args:
    run: The run.
    scoring: How; a state is carried where the model has one.
    devices: Devices that share each batch; None: one.
  """
  scoring = scoring.settled(run.context)
  if scoring.carried and run.carries:
    return run.score(devices, carried=True), carried_lib.Windows(
        scoring.context)
  return run.score(devices), functools.partial(
      windows.Windows, context=scoring.context, stride=scoring.stride,
      batch_size=scoring.batch_size)


def mixtures(run: Trained | Counted, config: experiment.Evaluate, workdir: str,
             text: store_lib.TokenStore) -> dict[str, likelihood.Score]:
  """Returns the run interpolated with those of `config.mix`, if any, by name.

  The weights are fitted by EM on validation text of the run, and printed. Each
  other run scores as its own config says, with its state carried if
  `config.scoring` or its own says so.

  Args:
    run: The run.
    config: What is evaluated.
    workdir: Of the run.
    text: What is scored.

  Raises:
    InputError: If another run has another tokenizer, its likelihood is not an
      exact one, or there is no validation text.
  """
  if not config.mix:
    return {}
  valid = run.config.data.build(workdir, tokenizer=run.tokenizer).valid
  if valid is None:
    raise errors.InputError(
        f'--config.mix fits its weights on the validation text of {workdir}, '
        'and the run has none.')
  scoring = config.scoring
  ways = [reading(run, scoring)]
  for folder in config.mix:
    other = _alike(run, folder)
    ways.append(reading(other, dataclasses.replace(
        other.config.scoring, batch_size=scoring.batch_size,
        carried=scoring.carried or other.config.scoring.carried)))
  fitted, scored = (
      [interpolation.table(score, documents, lay) for score, lay in ways]
      for documents in (held_out.Documents(valid, 200_000),
                        held_out.Documents(text, scoring.tokens)))
  weights = interpolation.fit_weights(fitted)
  print('mixture: ' + ', '.join(
      f'{weight:.3f} {name}'
      for weight, name in zip(weights, [workdir, *config.mix])))
  return {'mixture': interpolation.mix(scored, weights)}


def _alike(run: Trained | Counted, workdir: str) -> Trained | Counted:
  """Returns a run whose probabilities mix with those of `run`."""
  other = load_any(workdir)
  if other.tokenizer.digest != run.tokenizer.digest:
    raise errors.InputError(
        f'{workdir} reads text by another tokenizer '
        f'({other.tokenizer.describe()}) than the run '
        f'({run.tokenizer.describe()}); mix runs of the same data.')
  if {run.kind, other.kind} != {'exact'}:
    raise errors.InputError(
        'Probabilities mix where both are exact; the likelihood of the run is '
        f'{run.kind}, that of {workdir} is {other.kind}.')
  return other
