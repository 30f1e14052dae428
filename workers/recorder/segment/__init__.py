"""Pictures and sound in, closed slices out: encoders, the mpegts writer, what a killed file still holds."""
