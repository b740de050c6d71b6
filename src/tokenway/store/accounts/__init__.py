"""Who may do what, and what is kept for them.

The words:

* A **project** is whom use is counted for; it has a price of its own (`markup`) and may be prepaid.
* A **user** signs in, or is a service account that does not. His **memberships** say what he may do in which project.
* A **key** calls models, for one project and perhaps one user; a **limit** bounds it, its project, its user or a model.
* A **token** speaks to the control API in the name of a user; a **session** is the same for a browser.
* An **actor** is who makes a change. Each change is one transaction with its rows in the **audit** log, and each has a
  number, the *revision*: control asks for the newest one to learn that something is new, and for what it is.

Rows that can be edited have a `version`, which rises with each change; who passes the one that he has seen is told
(`Conflict`) when it is not that any more. What the ledger speaks of is archived and never deleted.
"""
