"""The heads that tag words, each with its loss and its decoding."""
from collections.abc import Iterator, Sequence
from typing import Any, Union

from lmjax.models.heads import chain as chain_lib
from lmjax.models.heads import token
from lmjax.tasks.taggers import chain
from lmjax.tasks.taggers import independent
from lmjax.tasks.taggers import tags as tags_lib

TAGGERS = {
    token.TokenConfig: independent.Independent(),
    chain_lib.CRFConfig: chain.Chain(),
}
Head = Union[tuple(TAGGERS)]


def of(head: Head) -> tags_lib.Tagger:
  """Returns the loss and the decoding of a head."""
  return TAGGERS[type(head)]


def read(head: Head, outputs: Sequence[Any], examples: Sequence[Any],
         columns: Sequence[Sequence[int | None]], labels: Sequence[str],
         decode: tags_lib.Decode | None
         ) -> Iterator[tuple[tags_lib.Tags, tags_lib.Known]]:
  """Yields the tags of each sentence, and the words whose tags are known.

  Args:
    head: The config of the head.
    outputs: Its outputs for each sentence.
    examples: The sentences, whose `tags` may be None.
    columns: The column of each word of each sentence.
    labels: The names of the tags.
    decode: How tags are chosen; None leaves it to the head.
  """
  tagger = of(head)
  place = {tag: i for i, tag in enumerate(labels)}
  for output, example, own in zip(outputs, examples, columns):
    words = [word for word, (tag, column) in enumerate(
        zip(example.tags or (), own)) if column is not None and tag in place]
    known = tags_lib.Known(words, [place[example.tags[word]] for word in words])
    yield tagger.tags(
        output, own, known, labels, decode or tagger.decode), known
