"""Multi-view stereo: the depth of every pixel, from pictures of a scene from several known places."""

PARTS = {
    "task": {"stereo": "task:Stereo"},
    "dataset": {
        "rendered_planes": "rendered:RenderedPlanes",
        "rgbd_frames": "frames:RgbdFrames",
        "whu_mvs": "whu:WhuMvs",
    },
    "model": {"plane_sweep": "models:PlaneSweep"},
}
