"""Tests of the de-identification engine. `writer` encodes, `planted` plants; neither uses the engine's own code."""
