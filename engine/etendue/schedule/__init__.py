"""Work on shared devices: tasks, queues, frames; and networks split over processes."""
