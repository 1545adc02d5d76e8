"""Corruptions by name: tasks made of plain text, whose rows change length."""
from lmjax.data import middle
from lmjax.data import mixture
from lmjax.data import noising
from lmjax.data import prefixes
from lmjax.data import spans

SpanCorruption = spans.SpanCorruption
Bart = noising.Bart
FillInTheMiddle = middle.FillInTheMiddle
PrefixLM = prefixes.PrefixLM
UL2 = mixture.UL2

Config = SpanCorruption | Bart | FillInTheMiddle | PrefixLM | UL2
