"""Other language identifiers over texts from standard input; runs in the peers' own environment."""

import json
import sys
import time

import py3langid
from lingua import LanguageDetectorBuilder

LINGUA = LanguageDetectorBuilder.from_all_languages().with_low_accuracy_mode().build()


def lingua(text: str) -> str:
    found = LINGUA.detect_language_of(text)
    return found.iso_code_639_1.name.lower() if found else "und"


PEERS = {"py3langid": lambda text: py3langid.classify(text)[0], "lingua (low accuracy)": lingua}
sets = json.load(sys.stdin)
answer = {}
for name, identify in PEERS.items():
    identify("It loads its tables.")
    began = time.process_time()
    guesses = {key: [identify(text) for text in texts] for key, texts in sets.items()}
    answer[name] = {"seconds": time.process_time() - began, "guesses": guesses}
print(json.dumps(answer))
