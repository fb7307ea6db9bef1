"""Classification of images into one of several classes."""
