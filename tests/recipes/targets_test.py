"""Targets are shown as text; the colour shows whether they count."""
import numpy as np

from lmjax.data.tokenizers import symbols
from lmjax.recipes import targets


def test_characters_of_several_tokens_are_whole_and_coloured_by_weight():
  tokenizer = symbols.Bytes().build()
  ids = list('aé'.encode())
  batch = {'targets': np.array([ids + [tokenizer.eos_id, 27, 98]]),
           'weights': np.array([[1, 1, 1, 0, 1, 0]], np.float32),
           'segments': np.array([[1, 1, 1, 1, 1, 0]])}
  text = targets.text_of(batch, 0, tokenizer)
  assert text.plain == 'aé<EOS>'
  assert [(text.plain[s.start:s.end], s.style) for s in text.spans] == [
      ('aé', 'green'), ('<EOS>', 'red')]
