"""Corruptions by name: tasks made of plain text, whose rows change length."""
from lmjax.data.corruption import denoisers
from lmjax.data.corruption import middle
from lmjax.data.corruption import noising
from lmjax.data.corruption import prefixes
from lmjax.data.corruption import spans

SpanCorruption = spans.SpanCorruption
Bart = noising.Bart
FillInTheMiddle = middle.FillInTheMiddle
PrefixLM = prefixes.PrefixLM
UL2 = denoisers.UL2

Config = SpanCorruption | Bart | FillInTheMiddle | PrefixLM | UL2
