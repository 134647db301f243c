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

# Linear models, AUC, adjusted p-values: scikit-learn 1.9, statsmodels 0.15. The data come from SplitMix64,
# which oracle.rs has too.
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score
from statsmodels.stats.multitest import multipletests

M = (1 << 64) - 1
def splitmix(seed):
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) & M
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M
        yield (z ^ (z >> 31)) >> 11
u = splitmix(5)
X = np.array([[next(u) / 2**53 * 4 - 2 for _ in range(6)] for _ in range(80)])
noise = np.array([next(u) / 2**53 * 4 - 2 for _ in range(80)])
score = X[:, 0] - 0.5 * X[:, 1] + noise
y = (score > 0).astype(int)
three = np.digitize(score, [-0.8, 0.8])
for c in [0.05, 1.0, 50.0]:
    m = LogisticRegression(C=c, tol=1e-12, max_iter=100000).fit(X, y)
    print("logistic", c, m.coef_[0].tolist(), float(m.intercept_[0]))
    m = LogisticRegression(C=c, tol=1e-12, max_iter=100000).fit(X, three)
    print("softmax", c, m.coef_.ravel().tolist(), m.intercept_.tolist())
    m = Ridge(alpha=1 / c).fit(X, score)
    print("ridge", c, m.coef_.tolist(), float(m.intercept_))
tied = np.round(X[:, 0] * 2) / 2
print("auc", roc_auc_score(y, X[:, 0]), roc_auc_score(y, tied))
decided = np.clip(np.round(X[:, 1] + 1), 0, 2).astype(int)
print("balanced", balanced_accuracy_score(three, decided), "r2", r2_score(score, X[:, 0]))
p = [0.001, 0.2, 0.03, 0.04, 0.9, 0.008, 0.03]
for method in ["fdr_bh", "holm"]:
    print(method, multipletests(p, method=method)[1].tolist())
print("quantile", float(np.quantile(X[:, 0], 0.025)), float(np.quantile(X[:, 0], 0.9)))

# Logistic regression with clustered errors: statsmodels.
import statsmodels.api as sm
D = np.column_stack([np.ones(80), X[:, 0], X[:, 2]])
m = sm.Logit(y, D).fit(disp=0, tol=1e-12, maxiter=200, cov_type="cluster", cov_kwds={"groups": np.arange(80) // 5})
print("clustered", m.params.tolist(), m.bse.tolist())
