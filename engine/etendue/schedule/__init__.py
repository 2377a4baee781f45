"""What runs when and where: tasks, a queue per device, frames with a budget."""

from __future__ import annotations

from etendue.schedule.frame import Frame
from etendue.schedule.queue import Job, Scheduler
from etendue.schedule.task import Batch, Priority, Task, TaskCancelledError, TaskError
from etendue.schedule.worker import checkpoint

__all__ = [
    "Batch",
    "Frame",
    "Job",
    "Priority",
    "Scheduler",
    "Task",
    "TaskCancelledError",
    "TaskError",
    "checkpoint",
]
