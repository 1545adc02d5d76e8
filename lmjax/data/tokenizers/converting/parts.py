"""The parts of a tokenizer.json that converters put together."""
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lmjax.data.tokenizers import frames
from lmjax.data.tokenizers import specs


def spec(model: Mapping[str, Any], tokens: Iterable[Mapping[str, Any]] = (),
         normalizer: Any = None, pre_tokenizer: Any = None,
         post_processor: Any = None, decoder: Any = None) -> dict[str, Any]:
  """Returns the value of a tokenizer.json."""
  return {'version': '1.0', 'truncation': None, 'padding': None,
          'added_tokens': list(tokens), 'normalizer': normalizer,
          'pre_tokenizer': pre_tokenizer, 'post_processor': post_processor,
          'decoder': decoder, 'model': dict(model)}


def added(content: str, id: int, special: bool = True) -> dict[str, Any]:
  """Returns an added token."""
  return {'id': id, 'content': content, 'single_word': False, 'lstrip': False,
          'rstrip': False, 'normalized': False, 'special': special}


def byte_level(prefix_space: bool = False, regex: bool = True
               ) -> dict[str, Any]:
  """Returns the part that writes each byte as a letter.

  Args:
    prefix_space: Whether to put a space before a text that has none.
    regex: Whether to split text as GPT-2 does.
  """
  return {'type': 'ByteLevel', 'add_prefix_space': prefix_space,
          'trim_offsets': True, 'use_regex': regex}


def split(*patterns: str) -> dict[str, Any]:
  """Returns the pre-tokenizer that splits by patterns, then writes bytes."""
  return sequence('pretokenizers', [
      *({'type': 'Split', 'pattern': {'Regex': pattern},
         'behavior': 'Isolated', 'invert': False} for pattern in patterns),
      byte_level(regex=False)])


def sequence(kind: str, parts: Sequence[Mapping[str, Any]]
             ) -> Mapping[str, Any] | None:
  """Returns parts as one; `kind` is 'normalizers', 'decoders' and so on."""
  if len(parts) < 2:
    return parts[0] if parts else None
  return {'type': 'Sequence', kind: list(parts)}


def frame(tokens: Mapping[str, int], before: Sequence[str],
          between: Sequence[str], after: Sequence[str], typed: bool = True
          ) -> dict[str, Any]:
  """Returns the post-processor of a frame.

  Args:
    tokens: The id of each token.
    before: The tokens before the first text.
    between: The tokens between two texts.
    after: The tokens after the last text.
    typed: Whether the second text and what follows it have type 1.
  """
  ids = [[tokens[name] for name in names] for names in (before, between, after)]
  alone = frames.Frame.of(ids[0], [], ids[2], texts=1)
  pair = frames.Frame.of(*ids, texts=2 if typed else 1)
  if not typed:
    pair = frames.Frame(*pair.ids, pair.types, (0, 0))
  names = {i: name for name, i in tokens.items()}
  return specs.template(alone, pair, names)
