"""The agent: IMPALA actor-critic with V-trace around a recurrent core; training, evaluation, checkpoints."""
