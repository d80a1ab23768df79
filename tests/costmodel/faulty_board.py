"""A device that misbehaves, for the runner `command`: starts a program and spoils what it says.

    python faulty_board.py FOLDER PROGRAM ARGUMENTS...

``FOLDER/faults.json`` says what happens, by kernel's name; ``FOLDER/offline`` for how many starts
nobody is there. Each start is a line of ``FOLDER/starts``.
"""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path


def main():
    folder, program, *arguments = sys.argv[1:]
    folder = Path(folder)
    with (folder / "starts").open("a") as log:
        log.write(f"{' '.join(arguments)}\n")
    if is_offline(folder / "offline"):
        sys.exit("error: device offline")
    if arguments[0] != "time":
        sys.exit(subprocess.run([program, *arguments], check=False).returncode)
    faults = json.loads((folder / "faults.json").read_text())
    names = [b for a, b in pairwise(arguments) if a == "--kernel"]
    options = arguments[1 + 2 * len(names) :]
    say("hello from the device\n")
    for name in names:
        done = subprocess.run(
            [program, "time", "--kernel", name, *options], capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        sys.stderr.write(done.stderr)
        if done.returncode:
            sys.exit(done.returncode)
        answer(done.stdout, faults.get(name, ""), folder)


def answer(line, fault, folder):
    said = json.loads(line)
    if fault == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault == "hang":
        time.sleep(1000)
    elif fault == "complain":
        sys.exit("ponas error: kernel 'x' failed: too many cooks")
    elif fault == "leave" or (fault.startswith("leave ") and not (folder / "left").exists()):
        (folder / "left").touch()
        (folder / "offline").write_text(fault.partition(" ")[2] or "1")
        sys.exit("error: closed")
    elif fault == "flood":
        while True:
            say("tralala " * 10 + "\n")
    elif fault == "cut":
        say(line[:40])
        sys.exit(1)
    elif fault == "silent":
        return
    elif fault.startswith(('{"', "leave ")) or not fault:
        said.update(json.loads(fault if fault.startswith("{") else "{}"))
    else:
        say(f"{fault}\n")
        return
    say(f"{json.dumps(said)}\n")


def say(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def is_offline(path):
    left = int(path.read_text()) if path.exists() else 0
    if left > 0:
        path.write_text(str(left - 1))
    return left > 0


if __name__ == "__main__":
    main()
