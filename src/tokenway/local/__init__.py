"""The embedded model: a supervised child process that speaks the OpenAI dialect."""
