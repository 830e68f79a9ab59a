"""The Hub over HTTP: a client, ranges of files, and how often to try again."""
