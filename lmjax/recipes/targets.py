"""Shows the targets of a batch, the tokens to predict, as coloured text."""
from collections.abc import Mapping
import itertools

import numpy as np
import rich.text

from lmjax.core import terminal
from lmjax.data.tokenizers import tokenizer as tokenizer_lib


def text_of(batch: Mapping[str, np.ndarray], row: int,
            tokenizer: tokenizer_lib.Tokenizer) -> rich.text.Text:
  """Returns the targets of a row as text: green if they count, otherwise red.

  Args:
    batch: A batch in the form that an objective takes.
    row: The index of the row.
    tokenizer: The tokenizer of the ids.
  """
  text = rich.text.Text()
  names = {tokenizer.bos_id: '<BOS>', tokenizer.eos_id: '<EOS>'}
  names |= {token: name for name, token in tokenizer.specials.items()}
  columns = zip(*(batch[name][row].tolist() for name in (
      'targets', 'weights', 'segments')))
  real = [(token, weight > 0) for token, weight, segment in columns if segment]
  for counts, run in itertools.groupby(real, lambda pair: pair[1]):
    # Joined before they are decoded: a character may be several tokens.
    raw = b''.join(
        names[token].encode() if token in names
        else tokenizer.token_bytes(token) for token, _ in run)
    text.append(terminal.printable(raw.decode('utf-8', 'replace')),
                'green' if counts else 'red')
  return text
