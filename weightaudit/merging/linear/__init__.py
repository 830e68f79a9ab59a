"""The linear merge: weights added up tensor by tensor, and written as a model of its own."""
