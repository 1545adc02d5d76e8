"""The table of objectives, which build `objective(params, batch, rng)`."""
from lmjax.objectives.encoders import contrastive
from lmjax.objectives.encoders import diffusion
from lmjax.objectives.encoders import mlm
from lmjax.objectives.encoders import pairs
from lmjax.objectives.encoders import replaced
from lmjax.objectives import lm
from lmjax.objectives import multi_token
from lmjax.objectives import permutation
from lmjax.objectives import prefix
from lmjax.objectives import seq2seq
from lmjax.objectives import truncated

OBJECTIVES = {
    'Causal': lm.Causal,
    'MaskedDiffusion': diffusion.MaskedDiffusion,
    'MaskedLM': mlm.MaskedLM,
    'MultiToken': multi_token.MultiToken,
    'PermutationLM': permutation.PermutationLM,
    'PrefixLM': prefix.PrefixLM,
    'ReplacedTokens': replaced.ReplacedTokens,
    'SentencePairs': pairs.SentencePairs,
    'Seq2Seq': seq2seq.Seq2Seq,
    'SimCSE': contrastive.SimCSE,
    'TruncatedBPTT': truncated.TruncatedBPTT,
}
