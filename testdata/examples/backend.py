#!/usr/bin/env python3
"""A backend that publishes with nothing but Python: a price now and then.

  pregon --history 5m --allow-origin null     in one terminal
  python3 backend.py                          in another, and table.html in a browser

Where the server wants a key, it is in PREGON_KEY.
"""
import html
import json
import os
import random
import sys
import time
import urllib.error
import urllib.request

SERVER = os.environ.get("PREGON_URL", "http://localhost:8000")
PRICES = {"Limón": 2.10, "Piña": 3.40, "Ñame": 1.80}


def publish(channel: str, text: str, key: str) -> dict:
    """Publish text. With the same key it may be tried again: the server, which keeps a history, knows it again."""
    request = urllib.request.Request(f"{SERVER}/publish/{channel}", data=text.encode(), method="POST")
    request.add_header("Content-Type", "text/plain; charset=utf-8")
    request.add_header("Idempotency-Key", key)
    if token := os.environ.get("PREGON_KEY"):
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def rows() -> str:
    return "".join(f"<tr><td>{html.escape(fruit)}<td>{price:.2f}</tr>" for fruit, price in PRICES.items())


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    for n in range(rounds):
        fruit = random.choice(sorted(PRICES))
        PRICES[fruit] = round(PRICES[fruit] * random.uniform(0.97, 1.03), 2)
        try:
            receipt = publish("prices", rows(), f"price-{os.getpid()}-{n}")
            print(fruit, PRICES[fruit], receipt.get("id", ""), flush=True)
        except urllib.error.HTTPError as error:
            sys.exit(f"refused: {json.load(error)['detail']}")
        except urllib.error.URLError as error:
            sys.exit(f"{SERVER} cannot be reached: {error.reason}")
        if n + 1 < rounds:
            time.sleep(1)


if __name__ == "__main__":
    main()
