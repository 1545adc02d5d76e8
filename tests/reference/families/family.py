"""How a family of models is compared with `transformers`."""
from collections.abc import Mapping, Sequence
import dataclasses
import pathlib
from typing import Any

from lmjax.interop import importing
from tests.reference import parity
from tests.reference import parity_decoders

Fields = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Family:
  """A family's small models, and the mistakes that a comparison must notice.

  Attributes:
    config: The reference's class of configs, such as 'LlamaConfig'.
    head: Its class of models, such as 'LlamaForCausalLM'.
    size: Fields of all cases.
    cases: Further fields of each case, by its name; `head` is another class of
      models, and `attention` the reference's implementation of attention.
    wrong: Changes of a written config.json, each of which must be noticed.
    wrongly: The case whose config.json they change; by default, the first.
    kind: See `parity.Kind`.
    cooler: See `parity.heat`.
    written: Fields that are added to a config.json, as users may have to.
  """
  config: str
  head: str
  size: Fields
  cases: Mapping[str, Fields]
  wrong: Sequence[Fields]
  wrongly: str | None = None
  kind: Any = parity_decoders
  cooler: Fields = dataclasses.field(default_factory=dict)
  written: Fields = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    assert self.wrong_case in self.cases

  @property
  def wrong_case(self) -> str:
    """The case whose config.json is written wrongly."""
    return self.wrongly or next(iter(self.cases))

  def case(self, name: str, folder: pathlib.Path) -> parity.Case:
    """Returns a case; skips the test without `transformers`.

    Args:
      name: The name of the case.
      folder: An empty folder.
    """
    _, transformers = parity.torch_and_transformers()
    fields = {'head': self.head, 'attention': 'eager', **self.size,
              **self.cases[name]}
    head, attention = fields.pop('head'), fields.pop('attention')
    config = getattr(transformers, self.config)(**fields)
    config._attn_implementation = attention
    return parity.case(
        folder, config, head, cooler=self.cooler, **self.written)

  def check(self, name: str, folder: pathlib.Path) -> None:
    """Compares a case in every respect; see `parity.check`."""
    parity.check(self.kind, self.case(name, folder))

  def errors(self, folder: pathlib.Path) -> list[float]:
    """Returns the error of outputs for no wrong field, then for each."""
    found = self.case(self.wrong_case, folder)
    inputs = self.kind.inputs(found.imported.config, padded=False)
    want = parity.computed(self.kind.want, found, inputs)
    source = found.imported.source
    return [parity.error(self.kind, importing.convert(dataclasses.replace(
        source, config={**source.config, **changes})), inputs, want)
            for changes in ({}, *self.wrong)]
