"""The vocabulary size is the config's, or the tokenizer's if unset."""
import dataclasses

import pytest

from lmjax.core import errors
from lmjax.models import MODELS
from lmjax.models import vocabulary


@dataclasses.dataclass(frozen=True)
class Config(vocabulary.Sized):
  width: int = 3
  vocab_size: int | None = None


def test_an_unset_size_becomes_the_tokenizers():
  assert Config().with_vocab(7) == Config(vocab_size=7)
  assert Config(vocab_size=9).with_vocab(7) == Config(vocab_size=9)
  with pytest.raises(errors.InputError, match='7 ids.*vocab_size is 5.* ids 5 to 6 '):
    Config(vocab_size=5).with_vocab(7)


@pytest.mark.parametrize('name', MODELS)
def test_no_model_is_built_without_a_vocabulary_size(name):
  with pytest.raises(errors.InputError, match='vocab_size is unset'):
    MODELS[name]().build()
  assert MODELS[name]().with_vocab(7).vocab_size == 7
  assert MODELS[name]().with_vocab(7).build() is not None
