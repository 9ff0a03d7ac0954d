"""Where actors live: a runner gives the learner its next unroll and hands weights to the actors."""
