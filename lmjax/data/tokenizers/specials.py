"""Adds special tokens to any tokenizer: [MASK], [CLS], the sentinels of T5.

Their ids follow the ids of the tokenizer, which do not change.
"""
import collections
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.data.tokenizers import vocabulary


class Extended(vocabulary.Tokenizer):
  """A tokenizer with special tokens, whose ids no text is encoded to.

  Attributes:
    base: The tokenizer that is extended.

  Args:
    tokenizer: The tokenizer to extend.
    specials: Names of the special tokens, in the order of their ids. A name
      that the tokenizer has already keeps its id.
    sentinels: Number of sentinels after them, named <extra_id_0>, <extra_id_1>,
      ... as in T5 (Raffel et al., arXiv:1910.10683, section 3.1.4).

  Raises:
    InputError: If a name occurs twice, or `sentinels` is negative.
  """

  def __init__(self, tokenizer: vocabulary.Tokenizer, specials: Sequence[str],
               sentinels: int = 0):
    if sentinels < 0:
      raise errors.InputError(
          f'data.sentinels should be at least 0; got {sentinels}.')
    names = [*specials, *(f'<extra_id_{i}>' for i in range(sentinels))]
    twice = sorted(name for name, count in collections.Counter(names).items()
                   if count > 1)
    if twice:
      raise errors.InputError(
          f'data.specials should be distinct; {", ".join(twice)} occurs twice.')
    self.base, self._names, self._sentinels = (
        tokenizer, tuple(specials), sentinels)
    new = [name for name in names if name not in tokenizer.specials]
    first = tokenizer.vocab_size
    self.vocab_size = first + len(new)
    self.bos_id, self.eos_id = tokenizer.bos_id, tokenizer.eos_id
    self.start_id = tokenizer.start_id
    self.word_prefix = tokenizer.word_prefix
    self.pair_prefix = tokenizer.pair_prefix
    self.specials = dict(tokenizer.specials) | {
        name: first + i for i, name in enumerate(new)}
    self.sentinel_ids = tokenizer.sentinel_ids if not sentinels else tuple(
        self.specials[name] for name in names[len(specials):])

  @property
  def name(self) -> str:
    return (f'{self.base.name} with {self.vocab_size - self.base.vocab_size} '
            'specials')

  def frame(self, texts=1):
    own = {'[CLS]', '[SEP]'} & set(self._names)
    return super().frame(texts) if own else self.base.frame(texts)

  @property
  def first_id(self) -> int | None:
    return self.base.first_id

  def encode(self, text: str) -> np.ndarray:
    return self.base.encode(text).astype(self.dtype)

  def spans(self, text):
    return self.base.spans(text)

  def encode_parts(self, text):
    return (ids.astype(self.dtype) for ids in self.base.encode_parts(text))

  def encode_all(self, texts):
    ids, lengths = self.base.encode_all(texts)
    return ids.astype(self.dtype), lengths

  def decode(self, ids: Iterable[int]) -> str:
    ids = self.check(ids)
    return self.base.decode(ids[ids < self.base.vocab_size])

  def token_bytes(self, token: int) -> bytes:
    token = int(self.check([token])[0])
    return self.base.token_bytes(token) if (
        token < self.base.vocab_size) else b''

  def state(self) -> dict[str, Any]:
    return {'kind': 'Extended', 'specials': list(self._names),
            'sentinels': self._sentinels, 'of': self.base.state()}

  def files(self) -> dict[str, bytes]:
    return self.base.files()
