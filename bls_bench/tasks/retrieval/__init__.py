"""Retrieval across views: the picture of a place, found among many by another picture of it."""

PARTS = {
    "task": {"retrieval": "task:Retrieval"},
    "dataset": {
        "scene_views": "scenes:SceneViews",
        "frame_pairs": "frames:FramePairs",
        "listed_pairs": "listed:ListedPairs",
        "cvact_mat": "cvact:CVACT",
    },
    "model": {"two_towers": "models:TwoTowers"},
}
