# An on-host program for tests: tells which process it is; dies if it is asked to.
import os
import signal


def run(parameters, emit):
    emit({"event": "process", "pid": os.getpid()})
    if parameters.get("die"):
        os.kill(os.getpid(), signal.SIGKILL)
