"""Classification with few labels: a loss of labelled samples, and of how consistent the others are seen."""

PARTS = {"task": {"semisupervised": "task:Semisupervised"}}
