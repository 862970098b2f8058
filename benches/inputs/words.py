"""Counts words, builds and parses JSON, sorts records: everyday Python."""
import json
import re
from collections import Counter
from dataclasses import dataclass


@dataclass(order=True)
class Record:
    score: int
    name: str


def words(seed, count):
    state = seed
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield "".join(chr(97 + (state >> shift) % 26) for shift in range(20, 20 + 4 * (2 + state % 5), 4))


text = " ".join(words(1, 9000))
counts = Counter(re.findall(r"[a-z]+", text))
records = sorted(Record(n, word) for word, n in counts.items())
document = json.dumps([vars(record) for record in records])
parsed = json.loads(document)
print(len(parsed), parsed[-1]["name"], sum(item["score"] for item in parsed))
