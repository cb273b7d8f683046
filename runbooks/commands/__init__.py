"""The subcommands of ``runbook``, a module each family."""
