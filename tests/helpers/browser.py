"""A headless Chromium that tests drive over its DevTools protocol: no other package is needed."""

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe")
# An answer takes milliseconds; on a busy machine, a start takes seconds.
_PATIENCE = 60


def find_chromium():
    """The path of a Chromium; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def chromium():
    """Start a browser, and end it."""
    (ours_in, theirs_out), (theirs_in, ours_out) = os.pipe(), os.pipe()
    path = find_chromium()
    with tempfile.TemporaryDirectory() as profile, open(os.devnull, "w") as nothing:
        # The protocol is spoken over these two descriptors, messages ended by a zero byte.
        actions = [(os.POSIX_SPAWN_DUP2, theirs_in, 3), (os.POSIX_SPAWN_DUP2, theirs_out, 4)]
        actions += [(os.POSIX_SPAWN_DUP2, nothing.fileno(), 2)]
        command = [path, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        process = os.posix_spawn(path, command, dict(os.environ), file_actions=actions)
        for end in (theirs_in, theirs_out):
            os.close(end)
        try:
            yield Browser(ours_in, ours_out)
        finally:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            for end in (ours_in, ours_out):
                os.close(end)
            _wait_for_files(profile)


def _wait_for_files(profile):
    """Until the browser's own processes have gone, they write into the profile."""
    for _ in range(20):
        with contextlib.suppress(OSError):
            shutil.rmtree(profile)
            os.mkdir(profile)
            return
        time.sleep(0.1)


class Browser:
    """One tab of a browser.

    Attributes:
        errors: What went wrong in the page: exceptions, messages of errors, and addresses that it asked for.
    """

    def __init__(self, read, write):
        self._read, self._write, self._buffer, self._number = read, write, b"", 0
        self._loaded, self._session, self.errors = False, None, []
        target = self.call("Target.getTargets")["targetInfos"]
        page = next(one["targetId"] for one in target if one["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """Call a method of the protocol; returns its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def open(self, path, *, width=1400, height=900, dark=False):
        """Open a file in a window of a size, and wait until it is there."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call("Emulation.setScrollbarsHidden", hidden=True)
        self._loaded = False
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self._loaded:
            self._next()

    def run(self, expression):
        """The value of an expression of JavaScript, after the next frame was drawn."""
        whole = f"new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done({expression}))))"
        found = self.call("Runtime.evaluate", expression=whole, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def drag(self, start, end):
        """Drag the mouse from one point to another."""
        for kind, (x, y) in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def swipe(self, start, end):
        """Drag a finger from one point to another."""
        self.call("Emulation.setTouchEmulationEnabled", enabled=True)
        for kind, points in (("touchStart", [start]), ("touchMove", [end]), ("touchEnd", [])):
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y} for x, y in points])
        self.call("Emulation.setTouchEmulationEnabled", enabled=False)

    def press(self, key):
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def pdf(self):
        """The page as it is printed."""
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])

    def screenshot(self, path):
        """Write a picture of the whole page."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def _next(self):
        """The next message; what is no answer is looked at here."""
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], _PATIENCE)
            assert ready, "the browser does not answer"
            self._buffer += os.read(self._read, 1 << 20)
        line, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(line)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method, parameters):
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            self.errors.append(parameters["exceptionDetails"]["exception"]["description"])
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(parameters["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            address = parameters["request"]["url"]
            self.errors += [] if address.startswith(("data:", "file:")) else [address]
