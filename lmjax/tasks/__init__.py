"""Kinds of tasks by name, which `--config.task.kind` chooses."""
from lmjax.tasks import classification

TASKS = {
    'Classification': classification.Classification,
}
