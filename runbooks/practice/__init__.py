"""A site to practise on."""
