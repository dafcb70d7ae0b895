"""What runs on a developer's machine and is never deployed: embedded AWS, stand-in for Adobe, runner."""

import os

# Nothing here calls anybody: onnxruntime has telemetry built in, which starts when it is imported unless told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
