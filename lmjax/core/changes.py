"""Differences from a saved run, and whether the run may continue with them.

A difference is structural, semantic or cosmetic. After a structural change the
saved checkpoints no longer fit, so the run needs another directory. A semantic
change affects results, so it is refused unless the user names the field with
--override. A cosmetic change is reported and accepted.
"""
from collections.abc import Iterable, Mapping, Sequence
import dataclasses
from typing import Any

from lmjax.core import config as config_lib
from lmjax.core import errors

Changed = Mapping[str, tuple[Any, Any]]


@dataclasses.dataclass(frozen=True)
class Rules:
  """The fields whose changes are structural or cosmetic; others are semantic.

  A name stands for its field and all fields below it.

  Attributes:
    structural: Fields that decide the shape of a checkpoint.
    cosmetic: Fields that do not affect results.
    notes: Pairs of a field and a sentence that is printed when a change of the
      field is refused.
    fitting: Fields, also below structural ones, for whose new value checkpoints
      are converted where they do not fit as they are.
  """
  structural: tuple[str, ...] = ()
  cosmetic: tuple[str, ...] = ()
  notes: tuple[tuple[str, str], ...] = ()
  fitting: tuple[str, ...] = ()

  def extended(self, structural: tuple[str, ...] = (),
               cosmetic: tuple[str, ...] = (),
               notes: tuple[tuple[str, str], ...] = ()) -> 'Rules':
    """Returns these rules with more fields and notes."""
    return Rules(self.structural + structural, self.cosmetic + cosmetic,
                 self.notes + notes, self.fitting)


def covered(field: str, names: Iterable[str]) -> bool:
  """Returns whether one of the names stands for the field.

  Example:
    >>> covered('data.seed', ['data']), covered('data.seed', ['data.se'])
    (True, False)
  """
  field = field.partition(':')[0]  # 'data.source: a.txt' is of 'data.source'.
  return any(field == name or field.startswith(f'{name}.') for name in names)


def judge(where: str, changed: Changed, rules: Rules,
          override: Sequence[str] = ()) -> dict[str, str]:
  """Returns why each difference is accepted: {field: 'cosmetic' or 'override'}.

  Args:
    where: The saved run, as messages name it: 'runs/demo'.
    changed: {field: (saved, now)}.
    rules: The config's rules.
    override: The fields whose changes the user accepts.

  Raises:
    InputError: If a difference is structural, or semantic and not accepted. The
      message has a table of these differences.
  """
  fitting = {f for f in changed if covered(f, rules.fitting)}
  structural = {f: v for f, v in changed.items()
                if f not in fitting and covered(f, rules.structural)}
  cosmetic = {f for f in changed if covered(f, rules.cosmetic)}
  semantic = {f: v for f, v in changed.items()
              if f not in structural and f not in cosmetic | fitting
              and not covered(f, override)}
  if structural:
    raise errors.InputError(
        f'{where} holds a run that cannot continue with these changes (saved '
        f'-> now):{table(structural | semantic)}\nIts checkpoints do not fit '
        f'another {", ".join(_parents(structural))}: use another --workdir, or '
        'the saved values.')
  if semantic:
    flags = ' '.join(f'--override={name}' for name in _parents(semantic))
    notes = ''.join(f'\n{text}' for name, text in rules.notes
                    if any(covered(field, [name]) for field in semantic))
    raise errors.InputError(
        f'{where} holds a run of another config or other data (saved -> now):'
        f'{table(semantic)}\nUse another --workdir, or the saved values; to '
        f'continue with the new ones: {flags}{notes}')
  return {field: 'checkpoints fit' if field in fitting else
          'cosmetic' if field in cosmetic else 'override'
          for field in changed}


def table(changed: Changed) -> str:
  """Returns one indented line `field: saved -> now` per difference."""
  return ''.join(f'\n  {line(field, *pair)}'
                 for field, pair in changed.items())


def line(field: str, saved: Any, now: Any) -> str:
  """Returns `field: saved -> now`; for a file, whether it is new or gone."""
  if ': ' not in field:
    return f'{field}: {saved!r} -> {now!r}'
  if saved is None or now is None:
    return f'{field} is {"new" if saved is None else "gone"}: {saved or now}'
  return f'{field} changed: {saved} -> {now}'


def between(saved: Mapping[str, str], now: Mapping[str, str]) -> Changed:
  """Returns the digests that differ: {name: (saved, now)}.

  A name is a field, such as 'data.tokenizer', or a field and one of its files,
  such as 'data.source: input.txt'. Fields that only one side has are not
  compared.
  """
  known = {n.partition(':')[0] for n in saved} & {
      n.partition(':')[0] for n in now}
  return {name: (_short(saved.get(name)), _short(now.get(name)))
          for name in saved | now if name.partition(':')[0] in known
          and saved.get(name) != now.get(name)}


def check_names(override: Sequence[str], fields: Iterable[str]) -> None:
  """Checks that every name in --override is a field or a part of the config.

  Args:
    override: The names that the user gave.
    fields: All fields: 'data.source.paths', ...

  Raises:
    InputError: If a name is unknown; the message suggests the nearest one.
  """
  known = {'.'.join(parts[:n + 1]) for parts in (
      field.partition(':')[0].split('.') for field in fields)
           for n in range(len(parts))}
  for name in override:
    if name not in known:
      raise errors.InputError(
          f'--override={name}: there is no field {name!r}.'
          f'{config_lib.near(name, sorted(known))}')


def _parents(changed: Iterable[str]) -> list[str]:
  """Returns the fields to name; a part whose kind changed is named as a whole.
  """
  fields = list(dict.fromkeys(f.partition(':')[0] for f in changed))
  whole = [f.removesuffix('.kind') for f in fields if f.endswith('.kind')]
  names = [next((w for w in whole if covered(f, [w])), f) for f in fields]
  return list(dict.fromkeys(names))


def _short(digest: str | None) -> str | None:
  """Returns the first 12 digits of a SHA-256; other texts are unchanged."""
  return digest[:12] if digest and len(digest) == 64 else digest
