"""Tagging: a tag for each word of a sentence; the tags mark entities."""
from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
from typing import Any, ClassVar

from lmjax.core import ranges
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.models.heads import token
from lmjax.objectives import labels as labels_lib
from lmjax.tasks.baselines import tags as tag_baselines
from lmjax.tasks.readers.words import tagged
from lmjax.tasks import rows as rows_lib
from lmjax.tasks.taggers import choice
from lmjax.tasks.taggers import sentences
from lmjax.tasks.taggers import tags as tags_lib
from lmjax.tasks.taggers import words as words_lib
from lmjax.tasks import task as task_lib


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Tagging:
  """Tagging of the words of sentences; a `task.Task`.

  The first subword of a word has the word's label. A sentence that is longer
  than all rows is read in windows that overlap, and each word is tagged where
  it has most context. Words that were cut off or have no token are tagged O, or
  with the most frequent tag if tags are names, such as parts of speech, and are
  evaluated like all others.

  Attributes:
    source: The source of the examples, with `read() -> Splits`.
    features: How sentences become rows.
    head: The tagger on top of the backbone: `TokenConfig`, a softmax for each
      word, or `CRFConfig`, one distribution over the sequences of tags.
    objective: The objective to minimise.
    decode: How tags are chosen: the most probable tag of each word
      ('independent'), or the most probable sequence of tags in which each I
      follows a B or an I of its type ('valid'); None means 'independent' for a
      softmax and 'valid' for a CRF.
    overlap: The share of the longest row that neighbouring windows have in
      common, in which sentences are read that are longer; None cuts these.
  """
  source: tagged.Tagged
  features: rows_lib.Features = rows_lib.Features(prefix=' ')
  head: choice.Head = token.TokenConfig()
  objective: labels_lib.Labels = labels_lib.Labels()
  decode: tags_lib.Decode | None = None
  overlap: ranges.Rate | None = 0.5

  unit: ClassVar = 'words'  # What the weight of the loss counts.

  def __post_init__(self):
    tags_lib.check(self.decode)
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

  def texts(self, examples: Sequence[sentences.Sentence]) -> Iterable[str]:
    """See `task.Task`."""
    return (text for e in examples for text in self.features.spelled(e.texts))

  def rows(self, examples: Sequence[sentences.Sentence],
           splits: task_lib.Splits, tokenizer: tokenizer_lib.Tokenizer
           ) -> words_lib.WordRows:
    """See `task.Task`; tags that are not in `splits.labels` have weight 0."""
    return words_lib.build(
        self.features, examples, words_lib.numbered(examples, splits.labels),
        tokenizer, self.overlap)

  def model(self, backbone: Any, splits: task_lib.Splits) -> token.Token:
    """See `task.Task`."""
    return self.head.build(backbone, len(splits.labels),
                           allowed=self.source.scheme.allowed(splits.labels))

  def loss(self, model: token.Token) -> labels_lib.Objective:
    """See `task.Task`."""
    def objective(params, batch, rng=None):
      return choice.of(self.head).means(
          labels_lib.logits(model, params, batch, rng), batch, self.objective)
    return objective

  def outputs(self, model: token.Token) -> Callable[[Any, Any], Any]:
    """Returns a function that returns the head's `Tagger.outputs`."""
    tagger = choice.of(self.head)

    def function(params, batch):
      scores = labels_lib.logits(model, params, words_lib.flat(batch))
      return tagger.outputs(tagger.joined(scores, len(batch['inputs'])),
                            words_lib.joined(batch), model.allowed)
    return function

  def settled(self, outputs: Callable[[], Sequence[Any]], rows: Any,
              splits: task_lib.Splits) -> task_lib.Splits:
    """Returns the splits, as there is no threshold; see `task.Task`."""
    del outputs, rows
    return splits

  def judge(self, outputs: Sequence[Any],
            examples: Sequence[sentences.Sentence], rows: words_lib.WordRows,
            splits: task_lib.Splits) -> task_lib.Result:
    """Returns the scheme's scores, and the mean loss per tag in nats."""
    found = list(self._tags(outputs, examples, rows, splits))
    return self.source.scheme.judge(
        [e.tags for e in examples],
        [tags.named(splits.labels) for tags, _ in found], splits.labels,
        [tags.nll for tags, _ in found],
        [len(known.words) for _, known in found], [e.words for e in examples])

  def answers(self, outputs: Sequence[Any],
              examples: Sequence[sentences.Sentence],
              rows: words_lib.WordRows, splits: task_lib.Splits
              ) -> Iterator[dict[str, Any]]:
    """Yields words, predicted tags, their probabilities, and entities.

    The probability of a word that the model did not see is None.
    """
    for example, columns, (tags, _) in zip(
        examples, rows.columns, self._tags(outputs, examples, rows, splits)):
      words, names = example.words, tags.named(splits.labels)
      yield {'words': list(words)} | (
          {} if example.tags is None else {'tags': list(example.tags)}) | {
              'predicted': list(names),
              'probabilities': tags.probabilities(columns),
          } | self.source.scheme.answer(words, names)

  def baselines(self, splits: task_lib.Splits, rows: words_lib.WordRows
                ) -> dict[str, task_lib.Result]:
    """Returns results of the baselines, fitted to the training split."""
    del rows
    out = {}
    for kind in tag_baselines.BASELINES:
      fitted = kind.fit(splits.train, splits.labels[0])
      out[fitted.name] = self.source.scheme.judge(
          [e.tags for e in splits.test], [fitted(e.words) for e in splits.test],
          splits.labels)
    return out

  def examples(self, texts: Sequence[str], where: str,
               label: str | None = None) -> list[sentences.Sentence]:
    """See `task.Task`; a text is a list of words, its label a list of tags."""
    found = sentences.sentence(texts, where, label)
    return [found if label is None else self.source.scheme.checked(found)]

  def _tags(self, outputs: Sequence[Any],
            examples: Sequence[sentences.Sentence], rows: words_lib.WordRows,
            splits: task_lib.Splits
            ) -> Iterator[tuple[tags_lib.Tags, tags_lib.Known]]:
    """Yields the tags of each sentence, and the words whose tags are known."""
    return choice.read(self.head, outputs, examples, rows.columns,
                       splits.labels, self.decode)
