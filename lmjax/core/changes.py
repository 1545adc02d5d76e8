"""What differs from a saved run, and whether the run may go on so.

A difference is structural (no checkpoint fits it: another directory is the only
way), semantic (results depend on it: refused unless a person names the field
with --override) or cosmetic (told, and accepted).
"""
from collections.abc import Iterable, Mapping, Sequence
import dataclasses
from typing import Any

from lmjax.core import config as config_lib
from lmjax.core import errors

Changed = Mapping[str, tuple[Any, Any]]


@dataclasses.dataclass(frozen=True)
class Rules:
  """Which fields are more, and which are less, than semantic.

  A name stands for its field and all fields below it.

  Attributes:
    structural: Fields whose saved value no checkpoint can do without.
    cosmetic: Fields that no result depends on.
    notes: Pairs of a field and a sentence for whoever wants to change it.
  """
  structural: tuple[str, ...] = ()
  cosmetic: tuple[str, ...] = ()
  notes: tuple[tuple[str, str], ...] = ()

  def extended(self, structural: tuple[str, ...] = (),
               cosmetic: tuple[str, ...] = (),
               notes: tuple[tuple[str, str], ...] = ()) -> 'Rules':
    """Returns these rules and those for more fields."""
    return Rules(self.structural + structural, self.cosmetic + cosmetic,
                 self.notes + notes)


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
  """Returns how each difference came to be accepted: field -> why.

  Args:
    where: What the differences are to: 'runs/demo'.
    changed: {field: (saved, now)}.
    rules: Of the config.
    override: Fields that a person has accepted.

  Raises:
    InputError: If a difference is structural, or is semantic and not accepted;
      with a table of all such.
  """
  structural = {f: v for f, v in changed.items()
                if covered(f, rules.structural)}
  cosmetic = {f for f in changed if covered(f, rules.cosmetic)}
  semantic = {f: v for f, v in changed.items()
              if f not in structural and f not in cosmetic
              and not covered(f, override)}
  if structural:
    raise errors.InputError(
        f'{where} holds a run that cannot go on like this (saved -> now):'
        f'{table(structural | semantic)}\nNo checkpoint of it fits another '
        f'{", ".join(_parents(structural))}: use another --workdir, or the '
        'saved values.')
  if semantic:
    flags = ' '.join(f'--override={name}' for name in _parents(semantic))
    notes = ''.join(f'\n{text}' for name, text in rules.notes
                    if any(covered(field, [name]) for field in semantic))
    raise errors.InputError(
        f'{where} holds a run made from something else (saved -> now):'
        f'{table(semantic)}\nUse another --workdir, or the saved values; to go '
        f'on with these: {flags}{notes}')
  return {field: 'cosmetic' if field in cosmetic else 'override'
          for field in changed}


def table(changed: Changed) -> str:
  """Returns `field: saved -> now`, a line each, indented."""
  return ''.join(f'\n  {line(field, *pair)}'
                 for field, pair in changed.items())


def line(field: str, saved: Any, now: Any) -> str:
  """Returns `field: saved -> now`; of a file, what became of it."""
  if ': ' not in field:
    return f'{field}: {saved!r} -> {now!r}'
  if saved is None or now is None:
    return f'{field} is {"new" if saved is None else "gone"}: {saved or now}'
  return f'{field} changed: {saved} -> {now}'


def between(saved: Mapping[str, str], now: Mapping[str, str]) -> Changed:
  """Returns the digests that differ: {name: (saved, now)}.

  Names are fields, such as 'data.tokenizer', or fields with a part of theirs,
  such as 'data.source: input.txt'. A field that one side does not know at all
  is not compared.
  """
  known = {n.partition(':')[0] for n in saved} & {
      n.partition(':')[0] for n in now}
  return {name: (_short(saved.get(name)), _short(now.get(name)))
          for name in saved | now if name.partition(':')[0] in known
          and saved.get(name) != now.get(name)}


def check_names(override: Sequence[str], fields: Iterable[str]) -> None:
  """Refuses names in --override that stand for no field.

  Args:
    override: What the user named.
    fields: All fields: 'data.source.paths', ...

  Raises:
    InputError: With the nearest name.
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
  """Returns the fields to name: a part whose kind changed, as a whole."""
  fields = list(dict.fromkeys(f.partition(':')[0] for f in changed))
  whole = [f.removesuffix('.kind') for f in fields if f.endswith('.kind')]
  names = [next((w for w in whole if covered(f, [w])), f) for f in fields]
  return list(dict.fromkeys(names))


def _short(digest: str | None) -> str | None:
  """Returns the beginning of a SHA-256, and any other text as it is."""
  return digest[:12] if digest and len(digest) == 64 else digest
