"""Objectives by name; each builds `objective(params, batch, rng)`."""
from lmjax.objectives import labels
from lmjax.objectives import lm
from lmjax.objectives import mlm

OBJECTIVES = {
    'causal': lm.Causal,
    'labels': labels.Labels,
    'mlm': mlm.MaskedLM,
}
