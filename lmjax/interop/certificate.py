"""A certificate: what a model computes for a given text, to be checked later.

It is a JSON file beside exported weights, with the ids of a text, some float64
summaries of the model's outputs for it, the ids of texts that tokenizers often
get wrong, a rendered chat, and the ids that end a text. Whoever reads the
weights with other software can compute the same and compare; `check` does it.
"""
from collections.abc import Sequence
import dataclasses
import datetime
import json
import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors
from lmjax.core.files import safe_paths
from lmjax.core.files import strict_json
from lmjax.data import chat
from lmjax.data.tokenizers import vocabulary
from lmjax.interop import continuing
from lmjax.interop import importing

NAME = 'lmjax_certificate.json'
LENGTH = 48  # Ids of the text.
# Largest difference of outputs, in their standard deviations: several times
# what another order of float32 sums gives.
TOLERANCE = 1e-4
TEXT = (
    'The lighthouse keeper counted 17 ships before noon. "None of them," she '
    'said, "is the one that we are waiting for." Her brother, who had come '
    'from Lisbon in March, wrote the number into the book and closed it; then '
    'both of them looked at the sea, which was grey, and at the sky.')
STRINGS = (  # Texts that tokenizers often get wrong.
    '', ' ', '  two  spaces', 'tab\tand\nnewline\r\n', '\n\n\n', "don't can't",
    'naïve café', 'cafe\u0301', 'ﬁne ﬂoor', 'ＦＵＬＬ width', '1234567', '3.14e-10',
    '東京都に住んでいます。', 'Привет, мир!', 'مرحبا بالعالم', '👩‍👩‍👧 😀',
    'x = {"a": [1, 2]};  # ok', '--- *** ###', '(a)(b)...[c]?!',
    'https://example.org/a?b=c&d=%20')
_NOW = datetime.datetime(2025, 1, 1)  # Some templates write the date.
MESSAGES = (
    {'role': 'user', 'content': 'What is 2 + 2?'},
    {'role': 'assistant', 'content': 'It is 4.'},
    {'role': 'user', 'content': 'And 3 + 3?'})


@dataclasses.dataclass(frozen=True)
class Certificate:
  """What a model and its tokenizer give; lists as in the JSON file.

  Attributes:
    ids: The ids that the model reads.
    mean, std: Mean and standard deviation of all outputs.
    largest: For each id, the index of the largest output.
    sums: For each id, the log of the sum of the exponentials of the outputs.
    projections: For each id, the sum over v of output_v * cos(v), divided by
      sqrt(V / 2): it depends on all V outputs.
    tokens: The ids of each of `STRINGS`.
    chat: The rendered `MESSAGES`, or None without a chat template.
    stop_ids: The ids that end a text.
    start_ids: The ids that a decoder with an encoder starts from.
  """
  ids: Sequence[int]
  mean: float
  std: float
  largest: Sequence[int]
  sums: Sequence[float]
  projections: Sequence[float]
  tokens: Sequence[Sequence[int]]
  chat: str | None
  stop_ids: Sequence[int]
  start_ids: Sequence[int] = ()

  def to_json(self) -> str:
    """Returns the contents of the file."""
    tree = {'version': 1, 'text': TEXT, 'strings': list(STRINGS),
            'messages': list(MESSAGES), **dataclasses.asdict(self)}
    return json.dumps(tree, indent=1, ensure_ascii=False) + '\n'


def certify(model: Any, params: Any, tokenizer: vocabulary.Tokenizer, *,
            template: chat.ChatTemplate | None = None,
            stop_ids: Sequence[int] = (), start_ids: Sequence[int] = ()
            ) -> Certificate:
  """Returns the certificate of a model and its tokenizer.

  Args:
    model: The module.
    params: Its parameters.
    tokenizer: Its tokenizer.
    template: Its chat template, or None.
    stop_ids: The ids that end a text.
    start_ids: The ids that a decoder with an encoder starts from.
  """
  ids = tokenizer.encode(TEXT)[:min(LENGTH, model.config.context)].tolist()
  tokens = tuple(tuple(tokenizer.encode(text).tolist()) for text in STRINGS)
  return Certificate(
      **_summaries(model, params, ids), tokens=tokens,
      chat=None if template is None else template.render(
          MESSAGES, reply=False, now=_NOW),
      stop_ids=tuple(stop_ids), start_ids=tuple(start_ids))


def read(folder: str | os.PathLike[str]) -> Certificate | None:
  """Returns the certificate in a folder; None if there is none.

  Raises:
    InputError: If it is damaged.
  """
  if not (pathlib.Path(folder) / NAME).exists():
    return None
  path = safe_paths.safe_join(folder, NAME)
  try:
    tree = strict_json.read(path)
    found = Certificate(**{
        field.name: tree[field.name]
        for field in dataclasses.fields(Certificate) if field.name in tree})
    counts = {len(found.ids), len(found.largest), len(found.sums),
              len(found.projections)}
    if len(counts) != 1 or not found.ids or len(found.tokens) != len(STRINGS):
      raise ValueError('its lists do not have the right lengths')
    if tree['strings'] != list(STRINGS) or tree['version'] != 1:
      raise ValueError('it was written by another version')
  except (OSError, ValueError, LookupError, TypeError) as error:
    raise errors.InputError(
        f'{path} is not a readable certificate ({error}); remove it to import '
        'the weights without it.') from None
  return found


def behaviour(imported: importing.Imported) -> dict[str, Any]:
  """Returns what a certificate states about files beside the weights.

  These are the arguments of `certify` after the parameters.

  Raises:
    InputError: If the files name an id that the model does not have.
  """
  source = imported.source
  tokenizer = source.read_tokenizer()
  stops = continuing.of(
      source.generation, imported.config.vocab_size, source.path).stop_ids
  if not stops and tokenizer.eos_id is not None:
    stops = (tokenizer.eos_id,)
  template = source.chat_template and chat.ChatTemplate.of(
      source.chat_template, tokenizer.roles)
  starts = [source.generation.get(name) for name in (
      'decoder_start_token_id', 'forced_bos_token_id')]
  return dict(tokenizer=tokenizer, template=template or None,
              stop_ids=stops,
              start_ids=[i for i in starts if i is not None])


def differences(want: Certificate, found: Certificate) -> list[str]:
  """Returns what differs between two certificates, as sentences."""
  said = []
  allowed = TOLERANCE * want.std
  for name in 'sums', 'projections':
    error = np.abs(np.subtract(getattr(want, name), getattr(found, name)))
    if not error.max() <= allowed:
      said.append(
          f'the outputs for token {int(error.argmax())} of the text differ by '
          f'{error.max() / want.std:.2g} standard deviations ({name}; at most '
          f'{TOLERANCE:.0e} is expected)')
      break
  for text, ours, theirs in zip(STRINGS, found.tokens, want.tokens):
    if list(ours) != list(theirs):
      said.append(f'{text!r} becomes the ids {list(ours)[:12]} instead of '
                  f'{list(theirs)[:12]}')
      break
  if want.chat is not None and found.chat != want.chat:
    said.append('the rendered chat differs')
  if set(want.stop_ids) != set(found.stop_ids):
    said.append(f'the ids that end a text are {sorted(found.stop_ids)} instead '
                f'of {sorted(want.stop_ids)}')
  if want.start_ids and list(want.start_ids) != list(found.start_ids):
    said.append(f'a decoder starts from the ids {list(found.start_ids)} '
                f'instead of {list(want.start_ids)}')
  return said


def check(want: Certificate, model: Any, params: Any,
          tokenizer: vocabulary.Tokenizer, **options: Any) -> None:
  """Checks that a model and its tokenizer give what a certificate says.

  Args:
    want: The certificate.
    model: The module.
    params: Its parameters.
    tokenizer: Its tokenizer.
    **options: See `certify`.

  Raises:
    InputError: If something differs.
  """
  found = dataclasses.replace(
      certify(model, params, tokenizer, **options),
      **_summaries(model, params, want.ids))
  said = differences(want, found)
  if said:
    raise errors.InputError(
        f'The files do not give what their {NAME} says: {"; ".join(said)}. '
        'They were changed after the certificate was written.')


def _summaries(model: Any, params: Any, ids: Sequence[int]) -> dict[str, Any]:
  """Returns the fields of a certificate that depend on the model's outputs."""
  with jax.default_matmul_precision('highest'):
    outputs_TV = np.asarray(_outputs(
        model, params, jnp.asarray([ids], jnp.int32)), np.float64)
  largest_T1 = outputs_TV.max(1, keepdims=True)
  sums_T = largest_T1[:, 0] + np.log(np.exp(outputs_TV - largest_T1).sum(1))
  size = outputs_TV.shape[1]
  projections_T = outputs_TV @ np.cos(np.arange(size)) / np.sqrt(size / 2)
  return dict(
      ids=tuple(map(int, ids)), mean=float(outputs_TV.mean()),
      std=float(outputs_TV.std()),
      largest=tuple(outputs_TV.argmax(1).tolist()),
      sums=tuple(sums_T.tolist()), projections=tuple(projections_T.tolist()))


def _outputs(model: Any, params: Any, ids_1T: jax.Array) -> jax.Array:
  """Returns a model's logits, or hidden states if it predicts no tokens.

  An encoder-decoder reads the ids on both sides. XLNet's logits are those of
  its content stream, which sees all tokens.
  """
  def apply(params):
    if model.config.traits.two_stream:
      x_BTD = model.apply({'params': params}, ids_1T, method='encode')
      return model.apply({'params': params}, x_BTD, method='logits')[0]
    return model.apply({'params': params}, ids_1T)[0][0]
  return jax.jit(apply)(params)
