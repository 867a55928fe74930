"""What learning from bars needs beside a learner: features, outcomes, splits by time, scores, and the verdict on them.

    bars ──features──┐
      └───outcomes───┴─rows──splits──> [a learner, elsewhere] ──> forecasts ──scores, bootstrap──> judgement

Nothing here knows how a model is fitted: that is a task's, in a worker process. All is numpy and deterministic; who
wants chance passes a generator in.
"""
