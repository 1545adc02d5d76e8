"""Readings of attention: scales, windows, heads, and the order of heads."""
from collections.abc import Callable, Iterator
import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import trees
from lmjax.interop.audit import numbers
from lmjax.nn import attention
from lmjax.nn import positions

_SOFTCAP = 50.0  # Gemma 2's.
_STEPS = (2, 4, 8)  # Factors between one window and others.
_PROJECTION = re.compile(
    r'(?:^|/)(?:mixer|cross)/(query|key|value|out)/(kernel|bias)$')


def _attention(part, config, length):
  size = part.size(config.width)
  scale = part.scale or size ** -0.5
  for other in numbers.others(scale, (
      size ** -0.5, 1.0, 1 / size, config.width ** -0.5, scale * 2 ** 0.5,
      scale / 2 ** 0.5, scale * 2, scale / 2)):
    yield 'scale', dataclasses.replace(part, scale=other)
  for softcap in numbers.others(part.softcap, (
      (_SOFTCAP,) if part.softcap is None
      else (None, part.softcap * 2, part.softcap / 2))):
    yield 'softcap', dataclasses.replace(part, softcap=softcap)
  for window in windows(part.window, length):
    yield 'window', dataclasses.replace(part, window=window)
  for changed in _divided(part, config.width):
    if _free(part, config, changed.size(config.width)):
      yield 'num_heads', changed


def _divided(part, width):
  """Yields attention with twice and half as many heads on the same features."""
  size = part.size(width)
  for count, kv_count, new_size in (
      (part.num_heads * 2, part.kv_heads * 2, size / 2),
      (part.num_heads / 2, part.kv_heads / 2, size * 2)):
    if all(each == int(each) for each in (count, kv_count, new_size)):
      head_size = None if count * new_size == width else int(new_size)
      yield dataclasses.replace(
          part, num_heads=int(count), num_kv_heads=int(kv_count),
          head_size=head_size)


def _free(part, config, size):
  """Returns whether parameters leave the size of the heads open."""
  if part.qk_norm is not None or isinstance(
      config.positions, positions.Relative):
    return False
  fraction = getattr(config.positions, 'fraction', None)
  return fraction is None or int(size * fraction) % 2 == 0


def windows(window: int | None, length: int) -> Iterator[int | None]:
  """Yields other windows, without those that differ only on longer rows.

  A window that is wrong by a factor of 8 hides so much that one that is half as
  wrong does not help a model to know the text, so there are several steps.

  Args:
    window: The present window, or None.
    length: Tokens of the longest row that is scored.

  Example:
    >>> list(windows(None, 512)), list(windows(200, 512))
    ([256, 128, 64], [None, 100, 50, 25, 400])
  """
  if window is None or window >= length:
    yield from (length // factor for factor in _STEPS)
    return
  yield None
  for factor in _STEPS:
    if window // factor:
      yield window // factor
  for factor in _STEPS:
    if window * factor < length:
      yield window * factor


READINGS = {attention.AttentionConfig: _attention}


def _grouped(config: Any, params: Any) -> Iterator[tuple[str, str, Any, Any]]:
  """Other query heads for each key head."""
  heads = _heads(config)
  if heads is None or heads.count in (heads.keys, 1) or heads.keys == 1:
    return
  count, group = np.arange(heads.count), heads.count // heads.keys
  # Each undoes the other; they are the same if both numbers are.
  orders = {tuple(count.reshape(shape).T.reshape(-1).tolist())
            for shape in ((group, heads.keys), (heads.keys, group))}
  for order in sorted(orders):

    def reordered(name, kind, leaf, order=np.array(order)):
      if name == 'query':
        heads_last = leaf.reshape(*leaf.shape[:-1], heads.count, -1)
        return jnp.take(heads_last, order, axis=-2).reshape(leaf.shape)
      if name == 'out' and kind == 'kernel':
        heads_first = leaf.reshape(heads.count, -1, leaf.shape[-1])
        return jnp.take(heads_first, order, axis=0).reshape(leaf.shape)
      return leaf
    named = ', '.join(map(str, order[:group]))
    yield ('mixer.groups', f'query heads {named} for the first key head',
           config, mapped(params, reordered))


def _fused(config: Any, params: Any) -> Iterator[tuple[str, str, Any, Any]]:
  """Another division of one matrix into queries, keys and values.

  Files hold the three as one matrix, either one after the other, or the three
  of the first head and then those of the next one.
  """
  heads = _heads(config)
  if heads is None or heads.keys != heads.count or heads.count == 1:
    return
  for what, division in (('head by head', _divided_by_head),
                         ('one after the other', _by_head)):
    yield 'mixer.fused', what, config, _redivided(
        params, lambda whole, division=division: division(whole, heads.count))
  # Where a file holds them head by head, other heads are other divisions.
  mixer = config.block.mixer
  for changed in _divided(mixer, config.width):
    if _free(mixer, config, changed.size(config.width)):
      yield ('block.mixer.num_heads',
             f'{changed.num_heads}, divided head by head',
             _with_mixer(config, changed), _redivided(
                 params, lambda whole, count=changed.num_heads:
                 _divided_by_head(_by_head(whole, heads.count), count)))


def _divided_by_head(whole, count):
  """Returns one after the other what is head by head, for so many heads."""
  return jnp.moveaxis(whole.reshape(
      *whole.shape[:-1], count, 3, -1), -2, -3).reshape(whole.shape)


def _by_head(whole, count):
  """Returns head by head what is one after the other, for so many heads."""
  return jnp.moveaxis(whole.reshape(
      *whole.shape[:-1], 3, count, -1), -3, -2).reshape(whole.shape)


def _redivided(params, division):
  """Returns parameters with each mixer's three projections divided anew."""
  leaves = dict(trees.items(params))
  for path in list(leaves):
    found = _PROJECTION.search(path)
    if found and found[1] == 'query' and '/cross/' not in path:
      names = [path[:found.start(1)] + name + path[found.end(1):]
               for name in ('query', 'key', 'value')]
      whole = division(jnp.concatenate([leaves[name] for name in names], -1))
      leaves |= zip(names, jnp.split(whole, 3, axis=-1))
  return trees.nested(leaves.items())


def _swapped(config: Any, params: Any) -> Iterator[tuple[str, str, Any, Any]]:
  """Projections in another order, and square ones transposed."""
  heads = _heads(config)
  if heads is None:
    return
  same = heads.keys == heads.count
  for first, second in (('key', 'value'), *(
      [('query', 'key'), ('query', 'value')] if same else [])):
    names = {first: second, second: first}
    yield ('mixer.order', f'{first} and {second} exchanged', config,
           renamed(params, names, within=('mixer',)))
  if heads.count * heads.size == config.width:
    yield ('mixer.out', 'transposed', config, mapped(
        params, lambda name, kind, leaf: leaf.T if (
            name == 'out' and kind == 'kernel') else leaf))


@dataclasses.dataclass(frozen=True)
class _Heads:
  """The heads of all attention in a model."""
  count: int
  keys: int
  size: int


def _heads(config):
  """Returns the heads, or None if layers differ or are not attention."""
  if not (config.traits.blocks and config.traits.attends):
    return None
  mixers = [config.block.mixer]
  if config.pattern is not None:
    config.pattern.with_blocks(
        lambda block: mixers.append(block.mixer) or block)
  found = {_Heads(mixer.num_heads, mixer.kv_heads, mixer.size(config.width))
           for mixer in mixers}
  return found.pop() if len(found) == 1 else None


def head_size(config: Any) -> int | None:
  """Returns the size of the heads, or None if they differ or there are none.
  """
  heads = _heads(config)
  return heads and heads.size


def mapped(params: Any, function: Callable[[str, str, jax.Array], jax.Array]
           ) -> Any:
  """Maps `function(projection, kind, leaf)` over projections of attention.

  Args:
    params: The parameters of a model.
    function: Receives the name of a projection, such as 'query', and 'kernel'
      or 'bias'.
  """
  def change(path, leaf):
    found = _PROJECTION.search(path)
    return function(found[1], found[2], leaf) if found else leaf
  return trees.map_paths(change, params)


def renamed(params: Any, names: dict[str, str], within: tuple[str, ...] = ()
            ) -> Any:
  """Returns parameters with other names for some parts of their paths.

  Args:
    params: The parameters of a model.
    names: {name: new name}.
    within: If given, only names directly below one of these are changed.

  Example:
    >>> renamed({'mlp': {'in': 1, 'gate': 2}}, {'in': 'gate', 'gate': 'in'})
    {'mlp': {'in': 2, 'gate': 1}}
  """
  def path_now(path):
    parts = path.split('/')
    return '/'.join(
        names.get(part, part) if not within or (
            place and parts[place - 1] in within) else part
        for place, part in enumerate(parts))
  return trees.nested(
      (path_now(path), leaf) for path, leaf in trees.items(params))


def _turned(config: Any, params: Any) -> Iterator[tuple[str, str, Any, Any]]:
  """Other heads, of which as many dimensions are turned as before.

  A config.json of GPT-J has the number of turned dimensions, not their share,
  so with too many heads it can say that all are turned. GPT-J turns neighbours;
  where others are turned whole, their config.json has a share.
  """
  if _heads(config) is None or config.block.mixer.qk_norm is not None or (
      not isinstance(config.positions, positions.Rotary)):
    return
  mixer, rotary = config.block.mixer, config.positions
  turned = int(mixer.size(config.width) * rotary.fraction)
  for changed in _divided(mixer, config.width):
    fraction = turned / changed.size(config.width)
    if fraction <= 1 and (rotary.fraction < 1 or rotary.interleaved):
      yield ('block.mixer.num_heads',
             f'{changed.num_heads}, each with {turned} dimensions turned',
             dataclasses.replace(
                 _with_mixer(config, changed),
                 positions=dataclasses.replace(rotary, fraction=fraction)),
             params)


def _with_mixer(config, mixer):
  return dataclasses.replace(
      config, block=dataclasses.replace(config.block, mixer=mixer))


WHOLE = (_grouped, _fused, _swapped, _turned)
