"""Where media comes from: one file a kind of channel, all behind `models.vocabulary.channel.Channel`."""
