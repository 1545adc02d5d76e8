"""Kinds of tasks by name, which `--config.task.kind` chooses."""
from lmjax.tasks import classification
from lmjax.tasks import regression
from lmjax.tasks import tagging

TASKS = {
    'Classification': classification.Classification,
    'Regression': regression.Regression,
    'Tagging': tagging.Tagging,
}
