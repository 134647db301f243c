//! Where the methods of this crate are published, for the citations of findings.

/// [`wilson`](crate::wilson): the interval of a proportion.
pub const WILSON: &str = "Wilson 1927, J. Am. Stat. Assoc. 22:209";
/// [`mean_t`](crate::mean_t): the interval of a mean.
pub const STUDENT: &str = "Student 1908, Biometrika 6:1";
/// [`ratio_t`](crate::ratio_t): the interval of a ratio.
pub const FIELLER: &str = "Fieller 1954, J. R. Stat. Soc. B 16:175";
/// [`sign_flips`](crate::sign_flips) and [`sign_flip`](crate::sign_flip): the test, and its interval.
pub const SIGN_FLIPS: &str = "Fisher 1935, The Design of Experiments; Hartigan 1969, J. Am. Stat. Assoc. 64:1303";
/// [`permutation_p`](crate::permutation_p).
pub const PERMUTATION: &str = "Phipson and Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39";
/// [`cross_validated`](crate::cross_validated): the interval of a measure on held-out rows.
pub const CROSS_VALIDATED: &str =
    "Nadeau and Bengio 2003, Machine Learning 52:239; Efron and Stein 1981, Ann. Stat. 9:586";
/// [`max_t`](crate::max_t): family-wise p-values.
pub const MAX_T: &str = "Westfall and Young 1993, Resampling-Based Multiple Testing";
/// [`benjamini_hochberg`](crate::benjamini_hochberg): the false discovery rate.
pub const FALSE_DISCOVERY_RATE: &str = "Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57:289";
/// [`holm`](crate::holm): family-wise p-values.
pub const HOLM: &str = "Holm 1979, Scand. J. Stat. 6:65";
/// [`sign_flip`](crate::sign_flip) of answers that changed: with one item a group it is this test.
pub const MCNEMAR: &str = "McNemar 1947, Psychometrika 12:153";
/// Two one-sided tests of whether an effect is as large as the smallest of interest.
pub const EQUIVALENCE: &str =
    "Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657; Lakens 2017, Soc. Psychol. Personal. Sci. 8:355";
