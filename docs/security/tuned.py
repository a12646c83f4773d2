"""Estimates the dual hybrid attack with parameters that the estimator itself doesn't try.

Usage: python tuned.py CHECKOUT

`LWE.dual_hybrid` takes as many samples as the secret has dimensions, searches guessed coordinates
in steps of ten and stops early, and charges 1.5 bits for guessing a coordinate, as if it were
Gaussian. Here the number of samples is free, the steps are finer, and a guessed bit costs one bit.
The formulas are the estimator's own (MATZOV, Theorem 7.6). They rest on the independence heuristic
that Ducas and Pulles dispute ("Does the Dual-Sieve Attack on Learning with Errors even Work?",
2023). CHECKOUT is as for estimate.py.
"""

import json
import math
import sys
from pathlib import Path

#: Numbers of samples, as shares of the dimension.
SAMPLES = (0.6, 0.65, 0.7, 0.75, 0.8, 0.9, 1.0)
#: Steps of the guessed coordinates and of those of the Fourier transform.
STEP = 4


def main(checkout):
    """Prints the least cost of each instance, and how it is reached."""
    sys.path.insert(0, checkout)
    from estimator import LWE, ND
    from estimator.lwe_dual import MATZOV
    from estimator.reduction import RC
    from sage.all import oo

    def cost(params, samples, beta, guessed, transformed):
        noisy = MATZOV.Nf(params, samples, beta, beta, guessed, transformed, 2)
        if not noisy < 2**1000:
            return math.inf
        dimension = params.n - guessed - transformed + samples
        _, sample, _, _ = RC.MATZOV.short_vectors(beta, N=noisy, d=dimension)
        guess = (MATZOV.T_fftf(transformed, 2) + MATZOV.T_tablef(noisy)) * 2**guessed
        return float(math.log2(sample + guess))

    def descended(evaluate, start, steps):
        """Returns the least value that coordinate descent finds, and where."""
        place, best = list(start), evaluate(*start)
        moved = True
        while moved:
            moved = False
            for axis, step in enumerate(steps):
                for sign in (step, -step):
                    other = [*place]
                    other[axis] += sign
                    value = evaluate(*other)
                    while value < best:
                        place, best, moved = other, value, True
                        other = [*place]
                        other[axis] += sign
                        value = evaluate(*other)
        return best, place

    instances = json.loads((Path(__file__).parent / "measured.json").read_text(encoding="utf-8"))
    done = {}
    print("| dimension | log2 noise | tuned dual hybrid | block size | guessed | transformed | samples |")
    print("|---|---|---|---|---|---|---|")
    for instance in instances:
        dimension, noise = instance["dimension"], round(instance["log2_noise"], 2)
        if (dimension, noise) in done:
            continue
        error = ND.DiscreteGaussian(2 ** (64 + noise))
        params = LWE.Parameters(n=dimension, q=2**64, Xs=ND.Binary, Xe=error, m=oo).normalize()
        found = []
        for share in SAMPLES:
            samples = int(share * dimension)

            def evaluate(beta, guessed, transformed, params=params, samples=samples):
                if beta < 60 or guessed < 0 or transformed < 0 or guessed + transformed >= params.n:
                    return math.inf
                return cost(params, samples, beta, guessed, transformed)

            for start in ((350, 40, 70), (350, 40, 68), (360, 20, 80), (380, 0, 0), (440, 40, 90), (520, 40, 90)):
                found.append((*descended(evaluate, start, (2, STEP, STEP)), samples))
        done[dimension, noise] = min(found)
        bits, (beta, guessed, transformed), samples = min(found)
        print(f"| {dimension} | {noise} | {bits:.1f} | {beta} | {guessed} | {transformed} | {samples} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
