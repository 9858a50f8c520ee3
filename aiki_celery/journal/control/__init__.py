"""Cancel, pause, resume, wake: asked from outside, heeded by the pass."""
