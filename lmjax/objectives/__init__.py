"""Objectives by name; each builds `objective(params, batch, rng)`."""
from lmjax.objectives import contrastive
from lmjax.objectives import diffusion
from lmjax.objectives import distill
from lmjax.objectives import labels
from lmjax.objectives import lm
from lmjax.objectives import mlm
from lmjax.objectives import multi_token
from lmjax.objectives import pairs
from lmjax.objectives import permutation
from lmjax.objectives import prefix
from lmjax.objectives import replaced
from lmjax.objectives import seq2seq
from lmjax.objectives import truncated

OBJECTIVES = {
    'causal': lm.Causal,
    'contrastive': contrastive.SimCSE,
    'diffusion': diffusion.MaskedDiffusion,
    'distillation': distill.Distillation,
    'labels': labels.Labels,
    'mlm': mlm.MaskedLM,
    'multi_token': multi_token.MultiToken,
    'pairs': pairs.SentencePairs,
    'permutation': permutation.PermutationLM,
    'prefix': prefix.PrefixLM,
    'replaced': replaced.ReplacedTokens,
    'seq2seq': seq2seq.Seq2Seq,
    'truncated': truncated.TruncatedBPTT,
}
