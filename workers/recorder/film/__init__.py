"""The MP4 beside the playlist: slices copied, not encoded again, into one file that any player takes."""
