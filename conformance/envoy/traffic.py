"""Requests, one after another without a pause, while certificates change."""

import threading
import urllib.error
import urllib.request

ENOUGH = 25
PATIENCE_SECS = 60


class Traffic:
    """Within `with`: each answer is counted, each failure kept."""

    def __init__(self, url):
        self.url, self.answered, self.failures = url, 0, []
        self.more, self.over = threading.Condition(), False
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        with self.more:
            self.over = True
        self.thread.join()

    def run(self):
        while not self.over:
            failure = fetch(self.url)
            with self.more:
                if failure:
                    self.failures.append(failure)
                else:
                    self.answered += 1
                self.more.notify_all()

    def flows_on(self):
        """Waits until some more requests are answered; none may have failed."""
        with self.more:
            wanted = self.answered + ENOUGH
            arrived = self.more.wait_for(lambda: self.failures or self.answered >= wanted, PATIENCE_SECS)
            assert arrived and not self.failures, f"after {self.answered} answers: {self.failures or 'no more'}"


def fetch(url):
    """Why there is no good answer; `None` when there is one."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            answer.read()
        return None
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode()}"
    except OSError as error:
        return str(error)
