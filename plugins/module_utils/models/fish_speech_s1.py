"""OpenAudio s1 of fish-speech, of the commit before S2: its runner is the same, its code and weights are others."""

from __future__ import annotations

from .fish_speech import DEVICES, load, serve

__all__ = ["DEVICES", "load", "serve"]
