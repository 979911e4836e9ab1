"""The sections of the page: each module gives what the template of its name shows."""
