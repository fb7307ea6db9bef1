"""How the samples of any data set become batches on the training device."""
