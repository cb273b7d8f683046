"""What is done for the mail server when a list is made: `mm_cfg.MTA` names a module."""
