"""Utterances: an intent for each text, and a tag for each of its words."""
import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
from typing import Any, ClassVar, Literal

import numpy as np

from lmjax.core import config
from lmjax.core import errors
from lmjax.core import metrics
from lmjax.core import ranges
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation.downstream import classification
from lmjax.evaluation.downstream.tags import utterances
from lmjax.evaluation import estimates
from lmjax.models.heads import joint
from lmjax.models.heads import pooled
from lmjax.models.heads import token
from lmjax.objectives import labels as labels_lib
from lmjax.tasks.baselines import tags as tag_baselines
from lmjax.tasks.readers.words import spoken
from lmjax.tasks import rows as rows_lib
from lmjax.tasks.taggers import choice
from lmjax.tasks.taggers import sentences
from lmjax.tasks.taggers import tags as tags_lib
from lmjax.tasks.taggers import words as words_lib
from lmjax.tasks import task as task_lib


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Utterances:
  """Intents and slots of utterances, learned jointly; a `task.Task`.

  One pass of the backbone serves both. The loss of an utterance is minus the
  log-probability of its intent, plus `tags_weight` times that of its tags: with
  a weight of 1, minus the log-probability of all that is known of it.

  Attributes:
    source: The source of the examples, with `read() -> Splits`.
    features: How utterances become rows; longer ones are cut.
    head: The tagger of words, as in `tagging.Tagging`.
    pooling: How a text becomes the vector that its intent is read from, as in
      `pooled.PooledConfig`.
    objective: The objective to minimise, for intents as for words.
    tags_weight: The weight of the tags' loss.
    decode: How tags are chosen, as in `tagging.Tagging`.

  References:
    Chen et al., BERT for Joint Intent Classification and Slot Filling,
    arXiv:1902.10909, eq. 2.
  """
  source: spoken.Spoken
  features: rows_lib.Features = rows_lib.Features(prefix=' ')
  head: choice.Head = token.TokenConfig()
  pooling: Literal['mean', 'max', 'last'] = 'mean'
  objective: labels_lib.Labels = labels_lib.Labels()
  tags_weight: ranges.NonNegative = 1.0
  decode: tags_lib.Decode | None = None

  unit: ClassVar = 'texts'  # What the weight of the loss counts.

  def __post_init__(self):
    tags_lib.check(self.decode)
    pooled.check(self.pooling)
    choice.of(self.head).check(self.objective)

  @property
  def batch_size(self) -> int:
    return self.features.batch_size

  @property
  def longest(self) -> int:
    return self.features.longest

  def read(self) -> task_lib.Splits:
    """See `task.Task`."""
    return self.source.read()

  def texts(self, examples: Sequence[sentences.Utterance]) -> Iterable[str]:
    """See `task.Task`."""
    return (text for e in examples for text in self.features.spelled(e.texts))

  def rows(self, examples: Sequence[sentences.Utterance],
           splits: task_lib.Splits, tokenizer: tokenizer_lib.Tokenizer
           ) -> words_lib.WordRows:
    """See `task.Task`; tags that are not in training have weight 0.

    Raises:
      InputError: If an intent is not one of training's.
    """
    intents, tags = (part.labels for part in splits.parts)
    for example in examples:
      if example.label not in (None, *intents):
        raise errors.InputError(
            f'{example.where}: intent {example.label!r} is not one of the '
            f'{len(intents)} intents {list(intents)[:20]}.'
            f'{config.near(example.label, intents)}')
    place = {None: 0} | {label: i for i, label in enumerate(intents)}
    return words_lib.build(
        self.features, examples, words_lib.numbered(examples, tags), tokenizer,
        by_row={
            'intents': np.array([place[e.label] for e in examples], np.int32),
            'known': np.array(
                [e.label is not None for e in examples], np.float32)})

  def model(self, backbone: Any, splits: task_lib.Splits) -> joint.Joint:
    """See `task.Task`."""
    intents, tags = (part.labels for part in splits.parts)
    return joint.Joint(
        self.head, self.pooling, backbone, len(intents), len(tags),
        allowed=spoken.SCHEME.allowed(tags))

  def loss(self, model: joint.Joint) -> labels_lib.Objective:
    """Returns the objective, whose 'loss' is a mean over utterances.

    'intent_nll' and 'intent_accuracy' are per utterance, 'tag_nll' is per word.
    """
    def objective(params, batch, rng=None):
      scores = labels_lib.logits(model, params, batch, rng)
      intents = self.objective.means(scores.classes_BC, {
          'labels': batch['intents'], 'weights': batch['known']})
      tags = choice.of(self.head).means(scores.tags, batch, self.objective)
      total = intents['loss'].total + self.tags_weight * tags['loss'].total
      return {'loss': metrics.Mean(total, intents['loss'].weight),
              'intent_nll': intents['nll'],
              'intent_accuracy': intents['accuracy'], 'tag_nll': tags['nll']}
    return objective

  def outputs(self, model: joint.Joint) -> Callable[[Any, Any], Any]:
    """Returns a function that returns {'intents': logits, 'tags': outputs}."""
    def function(params, batch):
      scores = labels_lib.logits(model, params, batch)
      return {'intents': scores.classes_BC, 'tags': choice.of(
          self.head).outputs(scores.tags, batch, model.allowed)}
    return function

  def settled(self, outputs: Callable[[], Sequence[Any]], rows: Any,
              splits: task_lib.Splits) -> task_lib.Splits:
    """Returns the splits, as there is no threshold; see `task.Task`."""
    del outputs, rows
    return splits

  def judge(self, outputs: Sequence[Any],
            examples: Sequence[sentences.Utterance], rows: words_lib.WordRows,
            splits: task_lib.Splits) -> utterances.Utterances:
    """Returns scores of intents and slots, and the mean loss in nats."""
    intents, names = (part.labels for part in splits.parts)
    logits_NC = np.stack([output['intents'] for output in outputs])
    wanted_N = rows.by_row['intents']
    tags = list(self._tags(outputs, examples, rows, splits))
    log_p_NC = _log_softmax(logits_NC)
    nll_N = np.array([each.nll for each, _ in tags])
    nll_N = self.tags_weight * nll_N - log_p_NC[
        np.arange(len(wanted_N)), wanted_N]
    return utterances.Utterances(
        classification.Classification.of_logits(wanted_N, logits_NC, intents),
        spoken.SCHEME.judge(
            [e.tags for e in examples],
            [each.named(names) for each, _ in tags], names,
            [each.nll for each, _ in tags],
            [len(known.words) for _, known in tags],
            [e.words for e in examples]),
        log_p_NC.argmax(axis=1) == wanted_N, estimates.mean(nll_N))

  def answers(self, outputs: Sequence[Any],
              examples: Sequence[sentences.Utterance],
              rows: words_lib.WordRows, splits: task_lib.Splits
              ) -> Iterator[dict[str, Any]]:
    """Yields words, the predicted intent, and tags with their entities.

    The probability of the tag of a word that the model did not see is None.
    """
    intents, names = (part.labels for part in splits.parts)
    for output, example, columns, (tags, _) in zip(
        outputs, examples, rows.columns,
        self._tags(outputs, examples, rows, splits)):
      shares_C = np.exp(_log_softmax(np.asarray(output['intents'])))
      known = {'label': example.label, 'tags': example.tags}
      predicted = tags.named(names)
      yield {'words': list(example.words)} | {
          name: value if isinstance(value, str) else list(value)
          for name, value in known.items() if value is not None} | {
              'predicted': intents[shares_C.argmax()],
              'probabilities': {
                  name: round(share, 6)
                  for name, share in zip(intents, shares_C.tolist())},
              'predicted_tags': list(predicted),
              'tag_probabilities': tags.probabilities(columns),
          } | spoken.SCHEME.answer(example.words, predicted)

  def baselines(self, splits: task_lib.Splits, rows: words_lib.WordRows
                ) -> dict[str, utterances.Utterances]:
    """Returns results of the most frequent intent with each baseline of tags.
    """
    intents, names = (part.labels for part in splits.parts)
    wanted_N = rows.by_row['intents']
    counts = collections.Counter(e.label for e in splits.train)
    majority = min(counts, key=lambda label: (-counts[label], label))
    found_N = np.full(len(wanted_N), intents.index(majority))
    out = {}
    for kind in tag_baselines.BASELINES:
      fitted = kind.fit(splits.train, names[0])
      out[fitted.name] = utterances.Utterances(
          classification.Classification.of(wanted_N, found_N, intents),
          spoken.SCHEME.judge(
              [e.tags for e in splits.test],
              [fitted(e.words) for e in splits.test], names),
          found_N == wanted_N)
    return out

  def examples(self, texts: Sequence[str], where: str,
               label: str | None = None) -> list[sentences.Utterance]:
    """See `task.Task`; a label is an intent, followed by a tag for each word.

    Raises:
      InputError: If a label is not, or a tag is no tag of an entity.
    """
    if label is None:
      return [sentences.Utterance(*sentences.sentence(texts, where), None)]
    intent, *tags = sentences.listed(label) or ('',)
    words, _, _ = sentences.sentence(texts, where)
    if len(tags) != len(words):
      raise errors.InputError(
          f'{where}: a label should be an intent, followed by a tag for each '
          f'of the {len(words)} words, as in PlayMusic O B-artist; got '
          f'{label!r:.60}.')
    return [spoken.SCHEME.checked(sentences.Utterance(
        words, tuple(tags), where, intent))]

  def _tags(self, outputs: Sequence[Any],
            examples: Sequence[sentences.Utterance],
            rows: words_lib.WordRows, splits: task_lib.Splits
            ) -> Iterator[tuple[tags_lib.Tags, tags_lib.Known]]:
    """Yields the tags of each utterance, and the words whose tags are known."""
    return choice.read(
        self.head, [output['tags'] for output in outputs], examples,
        rows.columns, splits.parts[1].labels, self.decode)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
  """Returns log-probabilities, float64."""
  wide = logits.astype(np.float64)
  wide -= wide.max(axis=-1, keepdims=True)
  return wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))
