"""What happened so far, for tests and for people: the proof that nobody paid twice or knocked too fast."""

from __future__ import annotations

from collections import Counter, defaultdict

from local.adobe.answers import Json

CUT = "cut"  # stands for the status of a request whose connection was cut on purpose


class Counters:
    """Plain sums since the start or the last ``clear``."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.requests: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.jobs: Counter[str] = Counter()
        self.photos: defaultdict[str, defaultdict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        self.contents: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.tokens = 0
        self.too_many_requests = 0
        self.downloads = 0
        self.downloads_with_authorization = 0

    def answered(self, route: str, status: int | str) -> None:
        """Count one request on ``route`` (its template) that ended so."""
        self.requests[route][str(status)] += 1
        if status == 429:
            self.too_many_requests += 1

    def about_photo(self, photo: str, route: str, what: str) -> None:
        """Count that ``what`` (posts, jobs, polls, downloads) happened for one photo and one POST route."""
        self.photos[photo][route][what] += 1

    def as_json(self, busiest_minute: int) -> Json:
        """Return all of it. ``requests`` by route and status, ``photos`` by decoded path and route, ``contents`` by hash."""
        return {
            "requests": {route: dict(statuses) for route, statuses in sorted(self.requests.items())},
            "jobs": dict(self.jobs),
            "photos": {
                photo: {route: dict(sums) for route, sums in routes.items()} for photo, routes in self.photos.items()
            },
            "contents": {content: dict(routes) for content, routes in self.contents.items()},
            "tokens": self.tokens,
            "too_many_requests": self.too_many_requests,
            "downloads": self.downloads,
            "downloads_with_authorization": self.downloads_with_authorization,
            "busiest_minute": busiest_minute,
        }
