"""The cases of `bench`: what each sets up, measures and requires."""
