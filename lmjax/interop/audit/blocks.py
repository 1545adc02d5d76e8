"""Readings of residual blocks: where their norms are, and what is parallel."""
from collections.abc import Iterator
import dataclasses
from typing import Any

from lmjax.interop.audit import attention
from lmjax.interop.audit import numbers
from lmjax.nn import block
from lmjax.nn import pattern
from lmjax.nn.residual import branch_norm
from lmjax.nn.residual import parallel

_MULTIPLIER = 0.22  # Granite's.
_AFTER = {'mixer_norm': 'mixer_out_norm', 'mlp_norm': 'mlp_out_norm'}
_BEFORE = {new: old for old, new in _AFTER.items()}


def _branch_norm(part, config, length):
  del config, length
  for multiplier in numbers.others(part.multiplier, (
      1.0, _MULTIPLIER, part.multiplier * 2, part.multiplier / 2)):
    yield 'multiplier', dataclasses.replace(part, multiplier=multiplier)


READINGS = {branch_norm.BranchNorm: _branch_norm}


def _order(config: Any, params: Any) -> Iterator[tuple[str, str, Any, Any]]:
  """Other kinds of blocks with the same parameters, apart from their names."""
  if not config.traits.blocks:
    return
  blocks = _blocks(config)
  kind, *others = {type(each) for each in blocks}
  if others:
    return
  for what, change, names in _KINDS.get(kind, ()):
    if None not in map(change, blocks) and (
        names is None or not config.traits.reads_source):
      yield 'block', what, pattern.with_blocks(config, change), (
          params if not names else attention.renamed(params, names))


def _blocks(config):
  """Returns the model's block and the own blocks of its pattern."""
  found = []
  pattern.with_blocks(config, lambda each: found.append(each) or each)
  return found


def _post(each):
  return block.PostNorm(each.mixer, each.mlp, each.norm, each.dropout)


def _pre(each):
  return block.PreNorm(each.mixer, each.mlp, each.norm, each.dropout)


def _parallel(each):
  return parallel.Parallel(
      each.mixer, each.mlp, each.norm, each.norm, each.dropout)


def _sequential(each):
  """Returns the branches one after the other, or None with a shared norm."""
  return None if each.mlp_norm is None else block.PreNorm(
      each.mixer, each.mlp, each.norm, each.dropout)


def _after(each):
  return branch_norm.BranchNorm(
      each.mixer, each.mlp, None, each.norm, dropout=each.dropout)


def _moved(each):
  """Returns norms on the other side of the branches; None if on both sides."""
  if (each.before is None) == (each.after is None) or each.mlp_norm is not None:
    return None
  return dataclasses.replace(each, before=each.after, after=each.before)


def _both(each):
  """Returns a block with norms on both sides, or None."""
  return None if None in (each.before, each.after) else each


# {kind: [(reading, function that changes a block or returns None, names)]}. An
# encoder-decoder has only the kinds that need no names.
_KINDS = {
    block.PreNorm: (
        ('PostNorm', _post, None), ('Parallel', _parallel, {}),
        ('norms after the branches', _after, _AFTER)),
    block.PostNorm: (('PreNorm', _pre, None),),
    parallel.Parallel: (('PreNorm', _sequential, {}),),
    branch_norm.BranchNorm: (
        ('norms after the branches', lambda each: _moved(each) if (
            each.after is None) else None, _AFTER),
        ('norms before the branches', lambda each: _moved(each) if (
            each.before is None) else None, _BEFORE),
        ('mixer_out_norm and mlp_norm exchanged', _both,
         {'mixer_out_norm': 'mlp_norm', 'mlp_norm': 'mixer_out_norm'})),
}
WHOLE = (_order,)
