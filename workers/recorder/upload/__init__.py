"""Stage four: slices and documents go to the store, however long that takes."""
