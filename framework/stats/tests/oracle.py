"""Makes the numbers in oracle.rs. scipy and numpy; run by hand."""
import numpy as np
from scipy import stats
from scipy.stats import binomtest, permutation_test

d = np.array([12, -4, 0, 7, 7, -1, 3, 20, -9, 5])
r = permutation_test((d, np.zeros_like(d)), lambda a, b: np.sum(a - b), permutation_type="samples", n_resamples=np.inf, alternative="two-sided")
print("sign flip", d.tolist(), int(r.statistic), repr(float(r.pvalue)))
for k, n in [(0, 10), (7, 20), (320, 1000)]:
    ci = binomtest(k, n).proportion_ci(0.95, method="wilson")
    print("wilson", k, n, repr(float(ci.low)), repr(float(ci.high)))
v = np.array([0.1, -0.2, 0.35, 0.05, 0.0, 0.4])
lo, hi = stats.t.interval(0.95, len(v) - 1, loc=v.mean(), scale=stats.sem(v))
print("t", repr(float(v.mean())), repr(float(lo)), repr(float(hi)))
y = np.array([1, 1, 0, 1, 0, 0, 1])
print("slope", repr(float(stats.linregress(np.arange(2, 9), y).slope)))
