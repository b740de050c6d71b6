"""The OpenAI Responses dialect, without state: a response's chain is put together before it comes here (`state`)."""
