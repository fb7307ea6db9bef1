"""What the tasks that generate images share: their data sets, the Fréchet distance, grids of samples."""

PARTS = {"dataset": {"mnist": "mnist:MNIST", "photos": "photos:Photos"}}
