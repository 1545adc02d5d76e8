"""Byte-level BPE, trained on the training split as GPT-2's was.

References:
  Radford et al., Language Models are Unsupervised Multitask Learners, 2019,
  section 2.2.
"""
from collections.abc import Iterable, Iterator
import dataclasses
import json
from typing import Annotated, Any

from lmjax.core import ranges
from lmjax.data import documents as documents_lib
from lmjax.data import facts
from lmjax.data.tokenizers import library
from lmjax.data.tokenizers import specs
from lmjax.data.tokenizers.converting import byte_level
from lmjax.data.tokenizers.converting import parts

_ENDS = {'bos': '<s>', 'eos': '</s>'}


@dataclasses.dataclass(frozen=True)
@ranges.checked
class ByteBPE:
  """Subwords of bytes, learned from the training split by merging pairs.

  It can encode any text, and is lossless. Text is split into words as by GPT-2,
  a space belonging to the word after it, and merges stay within words.

  Attributes:
    vocab_size: Number of ids to learn, BOS, EOS and 256 bytes included; a small
      corpus may give fewer.
    bos: Whether a document begins with BOS.
    eos: Whether a document ends with EOS.
  """
  vocab_size: Annotated[int, ranges.Range(
      258, note='It counts 256 bytes, BOS and EOS.')] = 4096
  bos: bool = True
  eos: bool = True

  needs = 'train'  # Splits that `build` reads.

  @property
  def asked(self) -> int:
    """Number of ids that the config asks for."""
    return self.vocab_size

  def build(self, documents: Iterable[str]) -> 'ByteBpeTokenizer':
    """Returns the tokenizer, trained on documents.

    Training reads each document once, as a stream, and is deterministic.

    Raises:
      InputError: If a document is not Unicode text.
    """
    import tokenizers
    names = [name for end, name in _ENDS.items() if getattr(self, end)]
    trained = specs.built(parts.spec(
        byte_level.model({}, []), pre_tokenizer=parts.byte_level()))
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=self.vocab_size - len(names), show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet())
    trained.train_from_iterator(_texts(documents), trainer)
    model = json.loads(trained.to_str())['model']
    size = len(model['vocab'])
    spec = parts.spec(
        byte_level.model(model['vocab'], model['merges']),
        [parts.added(name, size + i) for i, name in enumerate(names)],
        pre_tokenizer=parts.byte_level(), decoder=parts.byte_level())
    roles = {end: name for end, name in _ENDS.items() if name in names}
    return ByteBpeTokenizer(spec, roles, self.bos, self.eos)

  @staticmethod
  def restore(state, directory) -> 'ByteBpeTokenizer':
    """Returns the tokenizer whose `state` was saved in the directory."""
    return ByteBpeTokenizer.restore(state, directory)


class ByteBpeTokenizer(library.LibraryTokenizer):
  """See `ByteBPE`."""
  name = 'byte-level BPE'
  pair_prefix = ' '

  def state(self) -> dict[str, Any]:
    return super().state() | {'kind': 'ByteBPE'}


def _texts(documents: Iterable[str]) -> Iterator[str]:
  """Yields documents in pieces that end between words."""
  for text in documents:
    documents_lib.check(text)
    yield from facts.cut_before(text, library.BETWEEN_WORDS)
