"""`python -m bench.verify_rate SECONDS`: how many signatures one core checks in a second.

Lives here: the bare loop, in a process of its own so that several measure at the same time. Never here:
anything of the project, since the figure is the limit that the project is held against.
"""

import sys
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

SIGNED_BYTES = 200
"""About what a signature of a contract covers."""
CHUNK = 64


def rate(length_s: float) -> float:
    """Verifications per second over `length_s`."""
    key = ec.generate_private_key(ec.SECP256R1())
    algorithm = ec.ECDSA(hashes.SHA256())
    message = bytes(SIGNED_BYTES)
    signature = key.sign(message, algorithm)
    public = key.public_key()
    done = 0
    start_s = time.perf_counter()
    while time.perf_counter() - start_s < length_s:
        for _ in range(CHUNK):
            public.verify(signature, message, algorithm)
        done += CHUNK
    return done / (time.perf_counter() - start_s)


if __name__ == "__main__":
    rate(0.01)
    print("ready", flush=True)
    sys.stdin.readline()
    print(rate(float(sys.argv[1])))
