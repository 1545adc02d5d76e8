"""Properties of the branches that all blocks rely on."""
import pytest

from lmjax.core import errors
from lmjax.nn import block
from lmjax.nn.residual import branch_norm
from lmjax.nn.residual import parallel

KINDS = [block.PreNorm, block.PostNorm, branch_norm.BranchNorm,
         parallel.Parallel]


@pytest.mark.parametrize('kind', KINDS)
def test_an_impossible_dropout_is_refused(kind):
  with pytest.raises(errors.InputError, match='dropout .* below 1; got 1'):
    kind(dropout=1.0)
