"""WordPiece: the vocab.txt of BERT."""
from collections.abc import Sequence
from typing import Any

from lmjax.data.tokenizers import roles as roles_lib
from lmjax.data.tokenizers.converting import parts


def of_vocab(pieces: Sequence[str], lower: bool, accents: bool | None = None,
             chinese: bool = True) -> tuple[dict[str, Any], dict[str, str]]:
  """Returns the tokenizer of a vocabulary; its frame is [CLS] A [SEP] B [SEP].

  Args:
    pieces: The pieces in the order of their ids.
    lower: Whether text is lowercased.
    accents: Whether accents are removed; None if text is lowercased.
    chinese: Whether a Chinese character is a word of its own.

  Returns:
    The value of a tokenizer.json, and the token of each role.

  Raises:
    ValueError: If a piece occurs twice, or [UNK], [CLS] or [SEP] is missing.
  """
  vocab = {}
  for i, piece in enumerate(pieces):
    if vocab.setdefault(piece, i) != i:
      raise ValueError(f'the piece {piece!r} has ids {vocab[piece]} and {i}')
  roles = roles_lib.usual(vocab)
  if missing := [r for r in ('unk', 'cls', 'sep') if r not in roles]:
    raise ValueError(
        f'a WordPiece vocabulary should have [{missing[0].upper()}]')
  specials = sorted(set(roles.values()), key=vocab.__getitem__)
  return parts.spec(
      {'type': 'WordPiece', 'unk_token': roles['unk'],
       'continuing_subword_prefix': '##', 'max_input_chars_per_word': 100,
       'vocab': vocab},
      [parts.added(name, vocab[name]) for name in specials],
      normalizer={'type': 'BertNormalizer', 'clean_text': True,
                  'handle_chinese_chars': chinese, 'strip_accents': accents,
                  'lowercase': lower},
      pre_tokenizer={'type': 'BertPreTokenizer'},
      post_processor=parts.frame(
          vocab, [roles['cls']], [roles['sep']], [roles['sep']]),
      decoder={'type': 'WordPiece', 'prefix': '##', 'cleanup': True}), roles
