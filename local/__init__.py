"""What a laptop needs and no deployment gets: the embedded AWS, Adobe's stand-in, the runner."""

import os

# Nothing here calls anybody: onnxruntime has telemetry built in, which starts when it is imported unless told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
