"""Loads runs of `experiments/pretrain.py` from their directories."""
from collections.abc import Sequence
import dataclasses
import functools
import pathlib
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core import trees
from lmjax.data.text import sources
from lmjax.data import token_store as store_lib
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation import continuations
from lmjax.evaluation import held_out
from lmjax.evaluation import interpolation
from lmjax.evaluation import likelihood
from lmjax.evaluation import scoring as scoring_lib
from lmjax.evaluation import windows
from lmjax import experiment
from lmjax.interop import continuing
from lmjax.interop import runs
from lmjax.models.counted import hmm
from lmjax.models.counted import ngram
from lmjax.nn import readout as readout_lib
from lmjax.objectives import lm
from lmjax.recipes.loaded import asking
from lmjax.recipes.loaded import scorers
from lmjax.run import directory


@dataclasses.dataclass(frozen=True)
class Trained(asking.Run):
  """A pretrained run, loaded from its directory.

  Attributes:
    config: The config of the run; `config.model` has its vocabulary size.
    tokenizer: Maps text to ids and back.
    model: The module.
    params: The module's parameters, verified against their digests.
    step: The step of the checkpoint that the parameters are from.
    readout: How hidden states become the vector of a text.
    published: How the files that it was imported from continue texts.
  """
  config: experiment.Pretrain
  tokenizer: tokenizer_lib.Tokenizer
  model: nn.Module
  params: Any
  step: int
  readout: readout_lib.Readout = readout_lib.Readout()
  published: continuing.Continuing = continuing.Continuing()
  instead = (
      'It models text: fine-tune it on a task first, with '
      'experiments/finetune.py --config.init=WORKDIR, and load that run.')

  @property
  def kind(self) -> str:
    """The kind of likelihood that `score` returns, one of `held_out.KINDS`."""
    return self.config.likelihood

  @property
  def context(self) -> int:
    """The default number of tokens of a window in which text is scored."""
    return self.config.scoring.context or scorers.window(
        self.config, self.tokenizer,
        self.config.data.length or self.config.model.context)

  @property
  def carries(self) -> bool:
    """Whether the model has a state that can be carried between windows."""
    return self.config.model.traits.carries_state

  @property
  def digest(self) -> str:
    """SHA-256 of the parameters."""
    return trees.digest(self.params)

  @functools.cached_property
  def placed(self) -> Any:
    """The parameters on the default device."""
    return jax.device_put(self.params)

  def scorer(self, devices: Sequence[Any] | None = None,
             carried: bool = False, filled: bool = False) -> likelihood.Score:
    """Returns the likelihood that the objective defines; see `scorers.scorer`.

    Raises:
      InputError: If the objective defines no likelihood.
    """
    if devices is None and not carried:
      return self._filling if filled else self._alone
    return self._scorer(devices, carried, filled)

  @functools.cached_property
  def _alone(self) -> likelihood.Score:
    """The score on one device; compiled once for all calls."""
    return self._scorer(None)

  @functools.cached_property
  def _filling(self) -> likelihood.Score:
    """The score of filling in spans, on one device."""
    return self._scorer(None, filled=True)

  def _scorer(self, devices, carried=False, filled=False):
    score_of = scorers.scorer(self, devices, carried, filled)
    if score_of is None:
      raise errors.InputError(
          f'{type(self.config.objective).__name__} defines no likelihood of a '
          'text; fine-tune the run on a task, or embed text with it.')
    return score_of(self.placed if devices is None else self.params)

  def generate(self, prompts: str | Sequence[str], *,
               max_new_tokens: int = 100, seed: int = 0,
               stop: Sequence[str] = (), window: bool = False,
               batch_size: int = 8, **sampling: Any) -> str | list[str]:
    """Returns continuations of prompts, without the prompts.

    A text ends at EOS or one of `published.stop_ids`, at a stop string, after
    `max_new_tokens`, or where the model's context is full.

    Args:
      prompts: One prompt, or several. Equal prompts get different texts.
      max_new_tokens: Most tokens to draw for each prompt.
      seed: Seed of the draws.
      stop: Strings that end a text and are not part of it.
      window: Whether to go on where the context is full, with its last half
        as the prompt of a new window.
      batch_size: Rows drawn at a time; affects the speed only.
      **sampling: Fields of `transforms.Sampling`, such as temperature or top_p,
        in place of the run's own, `config.samples.sampling`.

    Returns:
      A text for one prompt, or a list of texts.

    Raises:
      InputError: If the model cannot continue a prompt, or an option is wrong.
    """
    return asking.each(prompts, lambda prompts: [
        found.text for _, found in asking.completions(
            self, prompts, max_new_tokens=max_new_tokens, seed=seed, stop=stop,
            window=window, batch_size=batch_size, **sampling)])

  def score(self, texts: str | Sequence[str],
            scoring: scoring_lib.Scoring = scoring_lib.Scoring()
            ) -> asking.Scored | list[asking.Scored]:
    """Returns the likelihood of texts, as experiments/evaluate.py computes it.

    Args:
      texts: One text, or several, each scored as a document.
      scoring: How text is scored.

    Raises:
      InputError: If the objective defines no likelihood.
    """
    return score(self, texts, scoring)

  def logits(self, given: str | Sequence[int]) -> np.ndarray:
    """Returns the logits of a text or of ids; see `asking.logits`."""
    return asking.logits(self.model, self.placed, self.tokenizer, given)

  def embed(self, texts: str | Sequence[str],
            pooling: readout_lib.Pooling | None = None) -> np.ndarray:
    """Returns the vector of a text, or of each text; see `embeddings.embed`.

    Args:
      texts: One text, or several.
      pooling: How tokens are pooled, instead of by `readout`.
    """
    how = self.readout if pooling is None else dataclasses.replace(
        self.readout, pooling=pooling)
    return asking.embed(self.model, self.placed, self.tokenizer, texts, how)


@dataclasses.dataclass(frozen=True)
class Counted(asking.Run):
  """A run of a counted model, with the interface of `Trained` for evaluation.

  Attributes:
    config: The config of the run.
    tokenizer: Maps text to ids and back.
    model: The counted model, which is also the score function.
    step: 0.
  """
  config: experiment.Count
  tokenizer: tokenizer_lib.Tokenizer
  model: ngram.Ngram | hmm.Hmm
  step: int = 0
  kind = 'exact'  # The kind of likelihood, one of `held_out.KINDS`.
  carries = False  # A window has all of the context that the model can use.
  instead = 'Its model was counted, and only scores text.'

  @property
  def context(self) -> int:
    """The default number of tokens of a window in which text is scored."""
    return self.config.context

  @property
  def digest(self) -> str:
    """SHA-256 of the tables."""
    return self.model.digest

  def scorer(self, devices: Any = None, carried: bool = False
             ) -> likelihood.Score:
    """Returns the model; the arguments are ignored, unlike in `Trained`."""
    del devices, carried
    return self.model

  def score(self, texts: str | Sequence[str],
            scoring: scoring_lib.Scoring = scoring_lib.Scoring()
            ) -> asking.Scored | list[asking.Scored]:
    """Returns the likelihood of texts; see `Trained.score`."""
    return score(self, texts, scoring)


def score(run: Trained | Counted, texts: str | Sequence[str],
          scoring: scoring_lib.Scoring
          ) -> asking.Scored | list[asking.Scored]:
  """Returns the likelihood of texts under a run; see `asking.score`."""
  return asking.score(
      texts, run.tokenizer, scoring.settled(run.context),
      functools.partial(reading, run))


def load(workdir: str | pathlib.Path, step: int | str = 'best') -> Trained:
  """Reads a run directory of `experiments/pretrain.py`.

  Args:
    workdir: The directory.
    step: A checkpoint's number, 'best' or 'latest'.

  Raises:
    InputError: If the directory is not a run, has no intact checkpoint, or has
      a counted model.
  """
  found = load_any(workdir, step)
  if isinstance(found, Counted):
    raise errors.InputError(
        f'{workdir} is the run of a counted model, which can only be scored, '
        'with experiments/evaluate.py.')
  return found


def load_any(workdir: str | pathlib.Path, step: int | str = 'best'
             ) -> Trained | Counted:
  """Reads a run directory with a trained or a counted model; see `load`."""
  run = directory.RunDir(pathlib.Path(workdir))
  config = read_config(run)
  if isinstance(config, experiment.Count):
    return Counted(config, tokenizer_lib.load(run.tokenizer),
                   config.model.load(run.counts))
  found = runs.restore(run, config.model, step)
  config = dataclasses.replace(config, model=found.config)
  return Trained(
      config, found.tokenizer, found.model, found.params, found.step,
      runs.read_readout(run),
      runs.read_continuing(run, config.model.vocab_size))


def read_config(
    run: directory.RunDir) -> experiment.Pretrain | experiment.Count:
  """Returns the config of a run directory; a fine-tuned run raises InputError.
  """
  tree = runs.read_config(run)
  runs.refuse_tuned(run, tree)
  return config_lib.freeze(experiment.Pretrain | experiment.Count, tree)


def texts(run: Trained | Counted, config: experiment.Evaluate, workdir: str
          ) -> tuple[store_lib.TokenStore, store_lib.TokenStore | None]:
  """Returns the tokens to score, and the tokens to fit baselines on, or None.

  Raises:
    InputError: If the run has no such split.
  """
  data, cache = run.config.data, pathlib.Path(workdir) / 'cache'
  known = data.source != sources.InMemory(())  # Not if a model was imported.
  own = None
  if known and (config.data is None or config.baselines):
    own = data.build(workdir, tokenizer=run.tokenizer)
  text = own and getattr(own, config.split) if config.data is None else (
      store_lib.cached(config.data, run.tokenizer, data.cache or cache))
  if text is None:
    raise errors.InputError(
        f'The run {workdir} has no {config.split} split; choose another '
        '--config.split, or give text: --config.data.kind=TextFiles '
        '--config.data.paths=...')
  return text, own.train if own and config.baselines else None


def reading(run: Trained | Counted, scoring: scoring_lib.Scoring,
            devices: Sequence[Any] | None = None
            ) -> tuple[likelihood.Score, windows.Lay]:
  """Returns the score function of a run, and its function to lay out text.

  Args:
    run: The run.
    scoring: The config of the windows; `carried` has an effect only if the
      model has a state.
    devices: Devices that share each batch; None means one device.
  """
  scoring = scoring.settled(run.context)
  if isinstance(run, Counted):
    return run.scorer(devices), windows.Layout(
        scoring.context, scoring.stride, scoring.batch_size)
  scoring = dataclasses.replace(
      scoring, carried=scoring.carried and run.carries)
  return run.scorer(
      devices, carried=scoring.carried, filled=run.kind == 'span pseudo'
  ), scorers.layout(run.config, run.tokenizer, scoring)


def rate(run: Trained | Counted, context: int, batch_size: int = 8,
         devices: Sequence[Any] | None = None, ahead: int = 1
         ) -> continuations.Rate:
  """Returns the likelihood of continuations under a run.

  A model in which a mask alone decides what a token sees reads the tokens that
  texts share once.

  Args:
    run: The run.
    context: Most tokens that a prediction sees.
    batch_size: Rows scored at a time, of any other model.
    devices: Devices that share each batch; None means one device.
    ahead: Batches sent to the devices before the first result is awaited.
  """
  if devices is not None and len(devices) == 1:
    devices = None
  if isinstance(run, Trained) and run.kind == 'exact' and (
      run.config.model.traits.attends):
    return continuations.of_params(
        functools.partial(lm.branch_scores, run.model),
        run.placed if devices is None else run.params, devices, context, ahead)
  return continuations.alone(run.scorer(devices), context, batch_size, ahead)


def mixtures(run: Trained | Counted, config: experiment.Evaluate, workdir: str,
             text: store_lib.TokenStore) -> dict[str, likelihood.Score]:
  """Returns {'mixture': the score of a mixture with `config.mix`}, or {}.

  The weights are fitted with EM on validation text of the run, and printed.
  Each other run uses the scoring of its own config; its state is carried if its
  config or `config.scoring` sets `carried`.

  Args:
    run: The run.
    config: The config of the evaluation.
    workdir: The directory of the run.
    text: The tokens to score.

  Raises:
    InputError: If another run has a different tokenizer, a likelihood is not
      exact, or there is no validation text.
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
  """Loads a run, and checks that its probabilities can be mixed with `run`'s.
  """
  other = load_any(workdir)
  if other.tokenizer.digest != run.tokenizer.digest:
    raise errors.InputError(
        f'{workdir} has another tokenizer '
        f'({other.tokenizer.describe()}) than the run '
        f'({run.tokenizer.describe()}); mix runs of the same data.')
  if {run.kind, other.kind} != {'exact'}:
    raise errors.InputError(
        'Probabilities can be mixed only if both are exact; the likelihood of '
        f'the run is {run.kind}, and of {workdir} it is {other.kind}.')
  return other
