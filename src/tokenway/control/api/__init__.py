"""The control API: what `docs/control-api.md` describes, one module per resource.

A *caller* is who asks, known by a token or a session; `rules` says what he must be for each route, and nothing is
served that has no rule. Whatever touches the store runs in the control process' store thread (`Services.run`). Every
error is one shape (`problems`), every list has pages (`paging`), every creation is done once for one key (`once`).
"""
