"""scikit-learn's time for the fits of probes.rs, on all cores: pip install scikit-learn joblib; python probes.py [N]"""
import sys, time
import numpy as np
from joblib import Parallel, delayed
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.pipeline import make_pipeline

count = int(sys.argv[1]) if len(sys.argv) > 1 else 18 * 5 * 12
rng = np.random.default_rng(0)
x = rng.normal(size=(3000, 640)) * 3 + 1
y = (x[:, :8] - 1).sum(1) / 4 + 2 * rng.normal(size=3000) > 0
def fit():
    p = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, tol=1e-4, max_iter=1000)).fit(x, y)
    return p[-1].n_iter_[0]
t = time.time()
n = Parallel(n_jobs=-1)(delayed(fit)() for _ in range(count))
print(f"{count} probes of 3000 × 640 in {time.time() - t:.1f} s: {1e3 * (time.time() - t) / count:.1f} ms each, {np.mean(n):.1f} iterations")
