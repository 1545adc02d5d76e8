"""Byte-level BPE: the files of GPT-2 and its kin, and ranks of tiktoken."""
import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from lmjax.data.tokenizers import roles as roles_lib
from lmjax.data.tokenizers import spelling
from lmjax.data.tokenizers.converting import parts

# Llama 3 (Grattafiori et al., arXiv:2407.21783) splits text like this.
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
          r' ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+')
_LLAMA3_RANKS = 128_000
_LLAMA3_SPECIALS = 256


def of_files(vocab: Mapping[str, int], merges: str, prefix_space: bool = False
             ) -> tuple[dict[str, Any], dict[str, str]]:
  """Returns the tokenizer of a vocab.json with merges.txt.

  A vocabulary with <mask> has the frame of RoBERTa, <s> A </s></s> B </s>;
  others have none.

  Args:
    vocab: The id of each token.
    merges: The contents of merges.txt or vocab.bpe.
    prefix_space: Whether a space is put before a text.

  Returns:
    The value of a tokenizer.json, and the token of each role.

  Raises:
    ValueError: If a merge is not of two tokens.
  """
  lines = []
  for line in merges.split('\n'):
    line = line.removesuffix('\r')
    if not line or line.startswith('#version'):
      continue
    pair = line.split(' ')
    if len(pair) != 2:
      raise ValueError(f'a merge should be two tokens; got {line[:40]!r}')
    if unknown := [name for name in (*pair, ''.join(pair))
                   if name not in vocab]:
      raise ValueError(
          f'the merge {line[:40]!r} needs the token {unknown[0][:40]!r}, '
          'which the vocabulary lacks')
    lines.append(line)
  roles = roles_lib.usual(vocab)
  post = None
  if {'<s>', '</s>', '<mask>'} <= vocab.keys():
    post = parts.frame(vocab, ['<s>'], ['</s>', '</s>'], ['</s>'], typed=False)
  specials = sorted(set(roles.values()), key=vocab.__getitem__)
  added = [parts.added(name, vocab[name]) for name in specials]
  for token in added:
    token['lstrip'] = token['content'] == '<mask>'
  return parts.spec(
      model(vocab, lines), added, pre_tokenizer=parts.byte_level(prefix_space),
      post_processor=post, decoder=parts.byte_level()), roles


def of_ranks(ranks: bytes, pattern: str = LLAMA3,
             specials: Sequence[str] | None = None
             ) -> tuple[dict[str, Any], dict[str, str]]:
  """Returns the tokenizer of a .tiktoken file.

  Args:
    ranks: The contents of the file: lines of a token in base64 and its rank.
    pattern: The pattern that splits text.
    specials: Special tokens, whose ids follow the ranks; None for those of
      Llama 3 if there are as many ranks as it has.

  Returns:
    The value of a tokenizer.json, and the token of each role.

  Raises:
    ValueError: If a line is not a token and its rank.
  """
  letters = spelling.byte_letters()
  vocab = {}
  for number, line in enumerate(ranks.splitlines(), 1):
    try:
      token, rank = line.split()
      raw = base64.b64decode(token, validate=True)
      vocab[''.join(letters[byte] for byte in raw)] = int(rank)
    except (ValueError, binascii.Error):
      raise ValueError(
          f'line {number} should be a token in base64 and its rank; got '
          f'{line[:40]!r}') from None
  if specials is None:
    specials = llama3_specials() if len(vocab) == _LLAMA3_RANKS else []
  added = [parts.added(name, len(vocab) + i)
           for i, name in enumerate(specials)]
  ids = {token['content']: token['id'] for token in added}
  roles = roles_lib.usual(ids)
  begin = [roles['bos']] if 'bos' in roles else []
  return parts.spec(
      model(vocab, merges_of(vocab)) | {'ignore_merges': True}, added,
      pre_tokenizer=parts.split(pattern),
      post_processor=parts.frame(ids, begin, begin, []),
      decoder=parts.byte_level()), roles


def llama3_specials() -> list[str]:
  """Returns the special tokens of Llama 3 in the order of their ids."""
  named = ['<|begin_of_text|>', '<|end_of_text|>',
           '<|reserved_special_token_0|>', '<|reserved_special_token_1|>',
           '<|finetune_right_pad_id|>',
           '<|step_id|>', '<|start_header_id|>', '<|end_header_id|>',
           '<|eom_id|>', '<|eot_id|>', '<|python_tag|>']
  return named + [f'<|reserved_special_token_{i}|>'
                  for i in range(2, 2 + _LLAMA3_SPECIALS - len(named))]


def model(vocab: Mapping[str, int], merges: Sequence[str | Sequence[str]]
          ) -> dict[str, Any]:
  """Returns the model of byte-level BPE."""
  return {'type': 'BPE', 'dropout': None, 'unk_token': None,
          'continuing_subword_prefix': None, 'end_of_word_suffix': None,
          'fuse_unk': False, 'byte_fallback': False,
          'vocab': dict(vocab), 'merges': list(merges)}


def merges_of(vocab: Mapping[str, int]) -> list[tuple[str, str]]:
  """Returns every merge of two tokens into a third, best first.

  Ranked vocabularies name no merges: any two tokens that join to a third are
  merged, the one of the lowest rank first.

  Args:
    vocab: The rank of each token.
  """
  found = []
  for token, rank in vocab.items():
    for cut in range(1, len(token)):
      first, second = token[:cut], token[cut:]
      if first in vocab and second in vocab:
        found.append((rank, vocab[first], vocab[second], first, second))
  found.sort()
  return [(first, second) for *_, first, second in found]
