"""Celery's settings, shared by the scheduler's app and the workers' app: `app.config_from_object("models.celery_config")`.

A message is a wake-up that names a row; the row is the truth. So a message may be lost (the dispatch deadline in SQL
notices) and may come twice (the claim is a compare-and-set), and nothing here tries to prevent either.
"""

from __future__ import annotations

from models.vocabulary.messages import CHECK_BATCH, CHECK_STEP, CHECKS_QUEUE, JOB_STOP, JOB_SUBMIT, JOBS_QUEUE

# Acknowledged when taken. Redelivery is never used for recovery: Redis hands a task that runs longer than the
# visibility timeout to a second worker, which is a double recording.
task_acks_late = False
# No `expires` anywhere: a worker drops a message whose time is past by the worker's own clock, and one wrong clock would
# then swallow every start.
task_ignore_result = True
task_track_started = True
task_default_queue = JOBS_QUEUE
task_routes = {
    JOB_SUBMIT: {"queue": JOBS_QUEUE},
    JOB_STOP: {"queue": JOBS_QUEUE},
    CHECK_STEP: {"queue": CHECKS_QUEUE},
    CHECK_BATCH: {"queue": CHECKS_QUEUE},
}
task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]
task_send_sent_event = True

# With these two no message waits inside a worker where nobody else could have it.
worker_prefetch_multiplier = 1
worker_disable_prefetch = True
worker_send_task_events = True
# Said explicitly since the default changes: a broker that goes away must not end recordings.
worker_cancel_long_running_tasks_on_connection_loss = False
worker_hijack_root_logger = False  # models.logs has the one line format
worker_redirect_stdouts = False

broker_connection_retry = True
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # for ever
broker_transport_options = {
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "visibility_timeout": 3600,
    # What a sender spends on a broker that is away; without them it waits for ever.
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
    "interval_max": 0.1,
}
task_publish_retry = False  # whoever sends has a deadline in SQL behind it
