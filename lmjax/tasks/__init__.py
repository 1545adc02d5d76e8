"""Kinds of tasks by name, which `--config.task.kind` chooses."""
from lmjax.tasks import classification
from lmjax.tasks import multilabel
from lmjax.tasks import multiple_choice
from lmjax.tasks import regression
from lmjax.tasks import retrieval
from lmjax.tasks import seq2seq
from lmjax.tasks import similarity
from lmjax.tasks import spans
from lmjax.tasks import tagging
from lmjax.tasks import utterances

TASKS = {
    'Choice': multiple_choice.Choice,
    'Classification': classification.Classification,
    'Multilabel': multilabel.Multilabel,
    'Regression': regression.Regression,
    'Retrieval': retrieval.Retrieval,
    'Seq2Seq': seq2seq.Seq2Seq,
    'Similarity': similarity.Similarity,
    'Spans': spans.Spans,
    'Tagging': tagging.Tagging,
    'Utterances': utterances.Utterances,
}
