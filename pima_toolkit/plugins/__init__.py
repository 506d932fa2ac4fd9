"""Plugins: the hooks they answer, how they are found and isolated, and the registries that gather what they give."""
