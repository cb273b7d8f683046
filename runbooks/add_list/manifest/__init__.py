"""Puppet manifests that declare mailing lists."""
