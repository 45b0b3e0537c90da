"""One outside thing each: archive, attestations, trust, ONNX, data files, provenance, stores."""
