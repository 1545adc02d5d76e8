"""How published files say that a model continues texts.

They say it in generation_config.json, and older ones in config.json. The fields
are those of the library `transformers`.
"""
from collections.abc import Mapping
import dataclasses
import os
from typing import Any

from lmjax.core import errors

# Fields that ask for another search or for other draws, each with the value
# that asks for nothing.
_SEARCH = {
    'do_sample': False, 'num_beams': 1, 'num_beam_groups': 1,
    'length_penalty': 1.0, 'diversity_penalty': 0.0, 'penalty_alpha': None,
    'temperature': 1.0, 'top_k': 50, 'top_p': 1.0, 'min_p': None,
    'typical_p': 1.0, 'epsilon_cutoff': 0.0, 'eta_cutoff': 0.0,
    'repetition_penalty': 1.0, 'encoder_repetition_penalty': 1.0,
    'no_repeat_ngram_size': 0, 'encoder_no_repeat_ngram_size': 0,
    'min_length': 0, 'min_new_tokens': None, 'forced_eos_token_id': None,
    'begin_suppress_tokens': None, 'sequence_bias': None,
    'exponential_decay_length_penalty': None, 'guidance_scale': None}
_IDS = ('bos_token_id', 'eos_token_id', 'pad_token_id',
        'decoder_start_token_id', 'forced_bos_token_id', 'bad_words_ids',
        'suppress_tokens')
FIELDS = (*_IDS, *_SEARCH)


@dataclasses.dataclass(frozen=True)
class Continuing:
  """How a published model continues texts.

  Attributes:
    start_id: The id that a decoder reads before its text, or None.
    forced_ids: Ids that follow it before any is drawn.
    stop_ids: Ids that end a text.
    never_ids: Ids that are never drawn.
    unapplied: Fields that ask for something else, which lmjax does not do by
      itself, such as 'num_beams=4'.
    chat_template: How conversations are written, or None.
  """
  start_id: int | None = None
  forced_ids: tuple[int, ...] = ()
  stop_ids: tuple[int, ...] = ()
  never_ids: tuple[int, ...] = ()
  unapplied: tuple[str, ...] = ()
  chat_template: str | None = None


def of(generation: Any, vocab_size: int, source: str | os.PathLike[str]
       ) -> Continuing:
  """Returns what the contents of a generation_config.json say.

  Args:
    generation: The contents.
    vocab_size: Number of ids of the model.
    source: The name of the file in messages.

  Raises:
    InputError: If it is no object, or names an id that the model does not have.
  """
  if not isinstance(generation, dict):
    raise errors.InputError(
        f"{source}: 'generation' should be an object, the contents of a "
        f'generation_config.json; got {generation!r:.60}.')
  ids = lambda name: _ids(generation, name, vocab_size, source)
  # The library starts a decoder from BOS if no other id is named.
  start = ids('decoder_start_token_id') or ids('bos_token_id')
  stop = ids('eos_token_id')
  words = generation.get('bad_words_ids') or []
  if not isinstance(words, list) or not all(
      isinstance(word, list) for word in words):
    raise errors.InputError(
        f"{source}: 'bad_words_ids' of 'generation' should be a list of lists "
        f'of ids; got {words!r:.60}.')
  single = [word[0] for word in words if len(word) == 1]
  single = _ids({'bad_words_ids': single}, 'bad_words_ids', vocab_size, source)
  never = {*single, *ids('suppress_tokens')} - set(stop)
  asked = {name: generation[name] for name, neutral in _SEARCH.items()
           if generation.get(name) not in (None, neutral)}
  if not asked.get('do_sample'):  # The library then draws nothing.
    for name in ('temperature', 'top_k', 'top_p', 'min_p', 'typical_p'):
      asked.pop(name, None)
  if any(len(word) != 1 for word in words):
    asked['bad_words_ids'] = [word for word in words if len(word) != 1]
  return Continuing(
      start[0] if start else None, ids('forced_bos_token_id'), stop,
      tuple(sorted(never)),
      tuple(f'{name}={value!r:.60}' for name, value in asked.items()))


def _ids(generation: Mapping[str, Any], name: str, vocab_size: int,
         source: str | os.PathLike[str]) -> tuple[int, ...]:
  """Returns the ids of a field, which has one, a list of them, or none."""
  given = generation.get(name)
  found = given if isinstance(given, list) else [given] * (given is not None)
  for i in found:
    if type(i) is not int or not 0 <= i < vocab_size:  # A bool is no id.
      raise errors.InputError(
          f"{source}: {name!r} of 'generation' should be an id of the model's "
          f'vocabulary, 0 to {vocab_size - 1}, or a list of them; got '
          f'{i!r:.60}. Correct it there, or set it to null to do without it.')
  return tuple(found)
