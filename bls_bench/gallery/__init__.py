"""A page that shows what a run did with each of its samples. It knows numbers, pictures and words alone."""

# In the record of a run: what was kept to look at, and the page made of it.
KEPT, PAGE = "look.npz", "look.html"
