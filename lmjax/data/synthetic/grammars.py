"""Nested languages: probabilistic context-free grammars, and brackets."""
import dataclasses
import functools
import re
from typing import Annotated

import numpy as np

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.data.synthetic import language

_RULE = re.compile(r'([A-Z]) +([0-9.eE+-]+) *-> *(\S+)')


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Grammar(language.Language):
  """A probabilistic context-free grammar; a document is one sentence.

  A rule is written 'S 0.3 -> [SOS]': left side, probability, right side.
  Capital letters are nonterminals, every other character is a symbol. Each
  right side begins with a symbol (Greibach's normal form, which all
  context-free languages without the empty text have). So the rest of a sentence
  is a stack, and the optimum is a distribution over stacks, updated exactly
  symbol by symbol: the ratios of Jelinek and Lafferty's prefix probabilities.

  Attributes:
    rules: The rules; the left side of the first one starts every sentence. The
      default makes bracketed expressions such as '[a+[b*a]]'.
    num_documents: Number of documents.
    seed: Seed of the documents.

  References:
    Jelinek and Lafferty, Computation of the Probability of Initial Substring
    Generation by Stochastic Context-Free Grammars, 1991; Greibach, A New
    Normal-Form Theorem for Context-Free Phrase Structure Grammars, 1965;
    Grenander, Syntax-controlled Probabilities, 1967 (entropy).
  """
  rules: tuple[str, ...] = (
      'S 0.35 -> [SOS]', 'S 0.4 -> a', 'S 0.25 -> b', 'O 0.7 -> +',
      'O 0.3 -> *')
  num_documents: ranges.Count = 10_000
  seed: ranges.Seed = 0

  def __post_init__(self):
    object.__setattr__(self, 'rules', tuple(self.rules))
    _check_rules(self)

  @functools.cached_property
  def productions(self) -> dict[str, list[tuple[float, str]]]:
    """{left side: its pairs (probability, right side)}."""
    productions = {}
    for rule in self.rules:
      match = _RULE.fullmatch(rule.strip())
      if match is None:
        raise errors.InputError(
            f"Grammar.rules has {rule!r}; write a rule as 'S 0.3 -> [SOS]': a "
            'capital letter, its probability, and what replaces it.')
      left, probability, right = match.groups()
      productions.setdefault(left, []).append((float(probability), right))
    return productions

  @functools.cached_property
  def alphabet(self) -> str:
    return ''.join(sorted({
        c for rules in self.productions.values() for _, right in rules
        for c in right if not c.isupper()}))

  @property
  def is_simple(self) -> bool:
    """Whether symbols determine rules, so that no sentence is ambiguous."""
    return all(len({right[0] for _, right in rules}) == len(rules)
               for rules in self.productions.values())

  @functools.cached_property
  def expected(self) -> dict[str, float]:
    """{left side: the average number of times a sentence uses it}."""
    names = list(self.productions)
    uses = np.zeros((len(names), len(names)))
    for i, name in enumerate(names):
      for p, right in self.productions[name]:
        for j, other in enumerate(names):
          uses[i, j] += p * right.count(other)
    if np.abs(np.linalg.eigvals(uses)).max() >= 1 - 1e-9:
      raise errors.InputError(
          'Sentences of Grammar.rules go on without end: lower the '
          'probabilities of rules whose right sides have capital letters.')
    start = np.eye(len(names))[0]
    return dict(zip(names, np.linalg.solve(np.eye(len(names)) - uses.T, start)))

  def entropy(self) -> language.Entropy:
    if not self.is_simple:
      raise errors.InputError(
          'The entropy is only known if the rules of each letter begin with '
          'different symbols; otherwise average `optimal_score` over text.')
    nats, tokens = 0.0, 1.0
    for name, rules in self.productions.items():
      nats += self.expected[name] * float(
          language.entropy_of(np.array([p for p, _ in rules])))
      tokens += self.expected[name] * sum(
          p * sum(not c.isupper() for c in right) for p, right in rules)
    return language.Entropy(nats, tokens)

  def predictions(self, symbols, begins):
    language.whole(begins, 'Grammar')
    size = len(self.alphabet)
    out = np.zeros((len(symbols) + 1, size + 1))
    stacks = {next(iter(self.productions)): 1.0}  # Their probabilities.
    for i in range(len(symbols) + 1):
      after = {}
      for stack, p in stacks.items():
        if not stack:
          out[i, size] += p
        for q, right in self.productions.get(stack[:1], [(1.0, stack[:1])]):
          if right:
            out[i, self.alphabet.index(right[0])] += p * q
            key = right[0], right[1:] + stack[1:]
            after[key] = after.get(key, 0.0) + p * q
      if i < len(symbols):
        letter = self.alphabet[symbols[i]] if symbols[i] < size else None
        stacks = {rest: p for (c, rest), p in after.items() if c == letter}
        total = sum(stacks.values())
        stacks = {rest: p / total for rest, p in stacks.items()}
    return out

  def _draw(self, random, count):
    number = {c: i for i, c in enumerate(self.alphabet)}
    limits = {name: np.cumsum([p for p, _ in rules])[:-1]
              for name, rules in self.productions.items()}
    return [self._sentence(random, number, limits) for _ in range(count)]

  def _sentence(self, random, number, limits):
    out, stack = [], [next(iter(self.productions))]
    while stack:
      c = stack.pop()
      if c in limits:
        choice = int(np.searchsorted(limits[c], random.random()))
        stack.extend(reversed(self.productions[c][choice][1]))
      else:
        out.append(number[c])
    return np.array(out)


def _check_rules(grammar: Grammar) -> None:
  if not grammar.productions:
    raise errors.InputError('Grammar.rules should hold at least one rule.')
  for name, rules in grammar.productions.items():
    total = sum(p for p, _ in rules)
    if abs(total - 1) > 1e-6 or min(p for p, _ in rules) <= 0:
      raise errors.InputError(
          f'The probabilities of {name} in Grammar.rules should be positive '
          f'and sum to 1; they sum to {total:g}.')
    for _, right in rules:
      if right[0].isupper():
        raise errors.InputError(
            f'Grammar.rules has {name} -> {right}; a right side should begin '
            'with a symbol, not a capital letter (Greibach normal form).')
      missing = [c for c in right
                 if c.isupper() and c not in grammar.productions]
      if missing:
        raise errors.InputError(
            f'Grammar.rules has {name} -> {right}, but no rule for '
            f'{missing[0]}; add one.')
  grammar.expected  # Raises if sentences do not end.


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Dyck(language.Language):
  """Balanced brackets of several kinds.

  Inside a bracket the next symbol opens a bracket of a random kind with
  probability `open`, and otherwise closes the innermost one; at `max_depth` it
  always closes. When all brackets are closed, the document ends with
  probability `end`. A prefix determines the stack, and so the optimum.

  Attributes:
    kinds: Number of kinds of brackets, 1 to 4: (), [], {}, <>.
    open: Probability of another bracket inside a bracket.
    end: Probability that a document ends when all brackets are closed.
    max_depth: Most brackets open at once.
    num_documents: Number of documents.
    seed: Seed of the documents.

  References:
    Hewitt et al., RNNs Can Generate Bounded Hierarchical Languages with
    Optimal Memory, arXiv:2010.07515, section 2 (Dyck-(k, m)).
  """
  kinds: Annotated[int, ranges.Range(1, 4)] = 2
  open: ranges.ProperShare = 0.4
  end: ranges.ProperShare = 0.25
  max_depth: ranges.Count = 8
  num_documents: ranges.Count = 10_000
  seed: ranges.Seed = 0

  @property
  def alphabet(self) -> str:
    return '([{<'[:self.kinds] + ')]}>'[:self.kinds]

  def entropy(self) -> language.Entropy:
    # Expected visits of each depth after the first bracket: v = e_1 + v Q, for
    # the transitions Q between depths.
    deepest = self.max_depth
    next_depth = np.zeros((deepest + 1, deepest + 1))
    nats = np.zeros(deepest + 1)
    for depth in range(deepest + 1):
      opens = self._opens(depth)
      if depth < deepest:
        next_depth[depth, depth + 1] = opens
      if depth:
        next_depth[depth, depth - 1] = 1 - opens
      nats[depth] = language.entropy_of(
          np.array([opens, 1 - opens])) + opens * np.log(self.kinds)
    start = np.eye(deepest + 1)[1]
    visits = np.linalg.solve(np.eye(deepest + 1) - next_depth.T, start)
    return language.Entropy(float(np.log(self.kinds) + visits @ nats),
                            float(1 + visits.sum()))

  def _opens(self, depth: int) -> float:
    if depth == self.max_depth:
      return 0.0
    return self.open if depth else 1 - self.end

  def predictions(self, symbols, begins):
    language.whole(begins, 'Dyck')
    out = np.zeros((len(symbols) + 1, 2 * self.kinds + 1))
    stack = []
    for i in range(len(symbols) + 1):
      opens = self._opens(len(stack)) if i else 1.0
      out[i, :self.kinds] = opens / self.kinds
      out[i, self.kinds + stack[-1] if stack else -1] = 1 - opens
      if i == len(symbols) or not out[i, symbols[i]]:
        break  # The end, or not a prefix of a document: later rows stay 0.
      if symbols[i] < self.kinds:
        stack.append(int(symbols[i]))
      else:
        stack.pop()
    return out

  def _draw(self, random, count):
    return [self._brackets(random) for _ in range(count)]

  def _brackets(self, random):
    out, stack = [], []
    while True:
      if not out or random.random() < self._opens(len(stack)):
        stack.append(int(random.integers(self.kinds)))
        out.append(stack[-1])
      elif stack:
        out.append(self.kinds + stack.pop())
      else:
        return np.array(out)
