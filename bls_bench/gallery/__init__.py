"""A page that shows what a run did with each of its samples. It knows numbers, pictures and words alone."""
