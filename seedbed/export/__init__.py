"""The bundle: the deployable folder, and answering with it."""
