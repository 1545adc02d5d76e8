"""Sequence to sequence: a text is written from another one."""
from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
import operator
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from lmjax.core import config
from lmjax.core import errors
from lmjax.core import ranges
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation.downstream.written import generated
from lmjax.models.heads import next_token
from lmjax.objectives import given_source
from lmjax.tasks import task as task_lib
from lmjax.tasks.written import decoding
from lmjax.tasks.written import example as example_lib
from lmjax.tasks.written import pair_rows
from lmjax.tasks.written import paired_texts
from lmjax.tasks.written import sides
from lmjax.tasks.written import without_model


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Metrics:
  """The evaluation of written texts, with baselines.

  Attributes:
    scores: How texts are compared with references.
    valid: Most validation texts that are written at each evaluation, spread
      evenly over the split; None writes all, and 0 none, which leaves only the
      loss to choose the best checkpoint. The loss is always of all.
    baselines: Names in `without_model.BASELINES`.
  """
  scores: generated.Scores = generated.Scores()
  valid: ranges.Natural | None = 256
  baselines: tuple[str, ...] = ('copy', 'lead', 'nearest')

  def __post_init__(self):
    for name in self.baselines:
      if name not in without_model.BASELINES:
        raise errors.InputError(
            f'task.metrics.baselines has {name!r}; choose from '
            f'{sorted(without_model.BASELINES)}.'
            f'{config.near(name, without_model.BASELINES)}')


@dataclasses.dataclass(frozen=True)
class Seq2Seq:
  """Translation, summarisation, replies in a dialogue; a `task.Task`.

  The model is an encoder-decoder (`layout` = Apart) or a decoder (Joined). The
  loss is over the tokens of targets only. A new tokenizer learns its subwords
  from sources and targets together.

  Attributes:
    source: The source of the pairs of texts.
    layout: Where the model reads the source of a text.
    features: How texts become rows.
    objective: The objective to minimise. 'loss' in results is the plain
      negative log-likelihood per token, in nats, without label smoothing.
    decode: How the tokens of a text are chosen.
    metrics: The evaluation of written texts.
  """
  source: paired_texts.PairedTexts
  layout: sides.Layout = sides.Joined()
  features: pair_rows.PairFeatures = pair_rows.PairFeatures()
  objective: given_source.GivenSource = given_source.GivenSource()
  decode: decoding.Config = decoding.Greedy()
  metrics: Metrics = Metrics()

  unit: ClassVar = 'tokens'  # What the weight of the loss counts.

  @property
  def batch_size(self) -> int:
    return self.features.batch_size

  @property
  def longest(self) -> int:
    return self.layout.longest(
        self.features.longest,
        max(self.features.target_lengths[-1], self._most))

  @property
  def _most(self) -> int:
    """The most tokens of a written text."""
    return self.decode.max_length or self.features.target_lengths[-1]

  def read(self) -> task_lib.Splits:
    """See `task.Task`."""
    self.metrics.scores.check()
    return self.source.read()

  def texts(self, examples: Sequence[example_lib.Pair]) -> Iterable[str]:
    """See `task.Task`."""
    for pair in examples:
      yield self.features.prefix + pair.source
      yield self.features.target_prefix + pair.targets[0]

  def rows(self, examples: Sequence[example_lib.Pair],
           splits: task_lib.Splits, tokenizer: tokenizer_lib.Tokenizer
           ) -> pair_rows.PairRows:
    """See `task.Task`; of the validation split, `metrics.valid` are written.
    """
    asked, most = np.ones(len(examples), np.int32), self.metrics.valid
    is_valid = len(examples) == len(splits.valid) and all(
        map(operator.is_, examples, splits.valid))
    if is_valid and most is not None and most < len(examples):
      asked[:] = 0
      asked[np.linspace(0, len(examples), most, False).astype(int)] = 1
    return self.features.build(examples, self.layout, tokenizer, asked)

  def model(self, backbone: Any, splits: task_lib.Splits
            ) -> next_token.NextToken:
    """Returns the backbone with its own output layer; see `task.Task`.

    Raises:
      InputError: If the backbone does not fit the layout.
    """
    del splits
    self.layout.check(backbone)
    return next_token.NextToken(backbone)

  def loss(self, model: next_token.NextToken) -> given_source.Objective:
    """See `task.Task`."""
    return self.objective.build(next_token.body(model))

  def outputs(self, model: next_token.NextToken) -> Callable[[Any, Any], Any]:
    """Returns a function that writes texts, and scores the targets.

    Its outputs are those of `decoding.Decode`, and of the target 'nll', in nats
    and summed over its tokens, and 'count', the number of these.
    """
    body = next_token.body(model)
    decode = self.decode.build(body)

    def function(params, batch):
      nll_BT, _ = given_source.scores(body, params, batch)
      weights_BT = batch['weights']
      prompts = self.layout.prompts(batch, batch['asked'], self._most)
      return decode(params, prompts, batch['known'], batch['keys']) | {
          'nll': jnp.sum(nll_BT * weights_BT, axis=1),
          'count': jnp.sum(weights_BT, axis=1)}
    return function

  def settled(self, outputs: Callable[[], Sequence[Any]], rows: Any,
              splits: task_lib.Splits) -> task_lib.Splits:
    """Returns the splits, as there is no threshold; see `task.Task`."""
    del outputs, rows
    return splits

  def judge(self, outputs: Sequence[Any],
            examples: Sequence[example_lib.Pair], rows: pair_rows.PairRows,
            splits: task_lib.Splits) -> generated.Generated:
    """Returns the loss of the targets, and scores of the written texts."""
    del splits
    asked = np.flatnonzero(rows.by_row['asked']).tolist()
    loss = generated.per_token(
        [output['nll'] for output in outputs],
        [output['count'] for output in outputs])
    return generated.Generated(
        self.metrics.scores,
        tuple(generated.Written(
            examples[i].source, _text(outputs[i], rows), examples[i].targets,
            bool(outputs[i]['finished'])) for i in asked), loss)

  def answers(self, outputs: Sequence[Any],
              examples: Sequence[example_lib.Pair], rows: pair_rows.PairRows,
              splits: task_lib.Splits) -> Iterator[dict[str, Any]]:
    """Yields sources with the written text and its log-probability in nats."""
    del splits
    for pair, output in zip(examples, outputs):
      yield example_lib.shown(pair) | {
          'predicted': _text(output, rows),
          'logprob': round(float(output['logprob']), 4),
          'tokens': int(output['drawn']), 'finished': bool(output['finished'])}

  def baselines(self, splits: task_lib.Splits, rows: pair_rows.PairRows
                ) -> dict[str, generated.Generated]:
    """Returns results of texts that are made without a model."""
    del rows
    found = {}
    for name in self.metrics.baselines:
      title, texts = without_model.BASELINES[name](splits)
      found[title] = generated.Generated(self.metrics.scores, tuple(
          generated.Written(pair.source, text, pair.targets)
          for pair, text in zip(splits.test, texts, strict=True)))
    return found

  def examples(self, texts: Sequence[str], where: str,
               label: str | None = None) -> list[example_lib.Pair]:
    """See `task.Task`; a label is the target."""
    source, = texts
    return [example_lib.Pair(
        source.strip(), (label.strip(),) if label else (), where)]


def _text(output: Any, rows: pair_rows.PairRows) -> str:
  """Returns the written text, without the token that ends it."""
  drawn = int(output['drawn']) - int(output['finished'])
  return rows.text(np.asarray(output['tokens'])[:drawn])
