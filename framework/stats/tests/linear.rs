//! Linear models, AUC, adjusted p-values and quantiles against scikit-learn 1.9.1, statsmodels 0.15.0 and
//! numpy; `oracle.py` prints the numbers.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_stats::*;

struct Data {
    x: Matrix,
    score: Vec<f64>,
    two: Vec<f64>,
    three: Vec<f64>,
}

/// The data of `oracle.py`.
fn data() -> Data {
    let mut rng = Rng::new(5);
    let mut draw = || rng.unit() * 4.0 - 2.0;
    let x = Matrix { data: (0..480).map(|_| draw()).collect(), cols: 6 };
    let noise: Vec<f64> = (0..80).map(|_| draw()).collect();
    let score: Vec<f64> = (0..80).map(|i| x.row(i)[0] - 0.5 * x.row(i)[1] + noise[i]).collect();
    let two = score.iter().map(|s| f64::from(*s > 0.0)).collect();
    let three = score.iter().map(|s| f64::from(*s >= -0.8) + f64::from(*s >= 0.8)).collect();
    Data { x, score, two, three }
}

#[test]
fn coefficients_equal_scikit_learns() {
    let d = data();
    let cases: [(Link, f64, &[f64], &[f64]); 9] = [
        (
            Link::Logistic,
            0.05,
            &[
                0.5589909327558646,
                -0.20359654852344697,
                -0.14454010715763949,
                0.1285048491864223,
                -0.03839675266413436,
                0.04733528063167965,
            ],
            &[0.30963387132915204],
        ),
        (
            Link::Softmax(3),
            0.05,
            &[
                -0.42280917997119055,
                0.14137845020860135,
                0.018556375233172044,
                -0.20805837510012024,
                0.11906119994468603,
                0.059539965682312984,
                -0.03371364308258863,
                -0.001453719579936717,
                0.08665200295667741,
                0.15140989175138456,
                -0.20700250393210723,
                -0.0847282191114695,
                0.4565228230537793,
                -0.13992473062866456,
                -0.10520837818984946,
                0.05664848334873577,
                0.0879413039874213,
                0.025188253429156513,
            ],
            &[-0.2405752700556678, 0.22193691928032733, 0.018638350775340703],
        ),
        (
            Link::Linear,
            0.05,
            &[
                0.8189525151846387,
                -0.3252443702504331,
                -0.04606031214400232,
                0.10746061016519871,
                -0.04246223150099637,
                -0.02533339166630473,
            ],
            &[0.018477769742916345],
        ),
        (
            Link::Logistic,
            1.0,
            &[
                1.5144996160370658,
                -0.6415447647674519,
                -0.4016096858256185,
                0.25458558571656387,
                -0.2401474779312943,
                0.06459887994750366,
            ],
            &[0.2578649949311905],
        ),
        (
            Link::Softmax(3),
            1.0,
            &[
                -1.233070015889898,
                0.5104468532281918,
                0.09140261841571215,
                -0.4067541300058061,
                0.3929120370190343,
                0.18898530913277123,
                0.1063810589440987,
                -0.11272676754138884,
                0.13232816108665518,
                0.24941769384208032,
                -0.40410144472749215,
                -0.17648239803884644,
                1.1266889569457996,
                -0.3977200856868038,
                -0.2237307795023671,
                0.15733643616372558,
                0.01118940770845786,
                -0.01250291109392508,
            ],
            &[-0.3587642886331308, 0.42141923838510653, -0.06265494975197557],
        ),
        (
            Link::Linear,
            1.0,
            &[
                1.0052856245409525,
                -0.40821355624054645,
                -0.04541172585561167,
                0.11410141015139424,
                -0.09629152500066746,
                -0.046564589589619954,
            ],
            &[-0.04134751181691687],
        ),
        (
            Link::Logistic,
            50.0,
            &[
                1.8262635857134963,
                -0.7991675504755442,
                -0.4986272970075911,
                0.28813081079596353,
                -0.31370143058585664,
                0.06817492214000058,
            ],
            &[0.2608316795700986],
        ),
        (
            Link::Softmax(3),
            50.0,
            &[
                -1.5397303025483215,
                0.662931701981814,
                0.13402599745588017,
                -0.4717176658895514,
                0.5014815097727506,
                0.23938925368254763,
                0.19587129780957144,
                -0.16977676283921586,
                0.12463321525280312,
                0.2757220312854431,
                -0.45526739421672124,
                -0.20243244857219383,
                1.3438590047387506,
                -0.4931549391425978,
                -0.2586592127086827,
                0.1959956346041084,
                -0.04621411555602837,
                -0.036956805110354256,
            ],
            &[-0.45690847422161346, 0.514264977950661, -0.0573565037290471],
        ),
        (
            Link::Linear,
            50.0,
            &[
                1.0173622159332574,
                -0.4137426353704196,
                -0.04516306460745722,
                0.11436112920304396,
                -0.1003445988273821,
                -0.04815578685802645,
            ],
            &[-0.045353798605624274],
        ),
    ];
    for (link, c, weights, intercepts) in cases {
        let y = match link {
            Link::Logistic => &d.two,
            Link::Softmax(_) => &d.three,
            Link::Linear => &d.score,
        };
        let f = fit(&d.x, y, link, c).unwrap();
        let off = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert_eq!(f.weights.len(), weights.len());
        assert!(off(&f.weights, weights) < 1e-6, "{link:?} C = {c}: {f:?}");
        assert!(off(&f.intercepts, intercepts) < 1e-6, "{link:?} C = {c}: {f:?}");
    }
}

#[test]
fn what_cannot_be_fitted_is_said() {
    let d = data();
    let say = |y: &[f64], c: f64| fit(&d.x, y, Link::Logistic, c).unwrap_err().to_string();
    assert!(say(&[1.0; 80], 1.0).contains("one class"));
    assert!(say(&[2.0; 80], 1.0).contains("0 to 1"));
    assert!(say(&d.two, 0.0).contains("above 0"));
    assert!(say(&d.two[..7], 1.0).contains("as many targets"));
    assert!(say(&[f64::NAN; 80], 1.0).contains("finite"));
}

#[test]
fn separable_data_converge() {
    // Far more features than rows, and a penalty that hardly holds: the hard case of probes.
    let mut rng = Rng::new(9);
    let x = Matrix { data: (0..40 * 300).map(|_| rng.normal()).collect(), cols: 300 };
    let y: Vec<f64> = (0..40).map(|i| f64::from(i % 2)).collect();
    for c in [1e-4, 1.0, 1e4] {
        let f = fit(&x, &y, Link::Logistic, c).unwrap();
        assert!(f.gradient < 1e-6, "{c}: {} after {}", f.gradient, f.iterations);
    }
}

#[test]
fn areas_equal_scikit_learns() {
    let d = data();
    let first: Vec<f64> = (0..80).map(|i| d.x.row(i)[0]).collect();
    let tied: Vec<f64> = first.iter().map(|v| (v * 2.0).round() / 2.0).collect();
    let positive: Vec<bool> = d.two.iter().map(|y| *y == 1.0).collect();
    assert!((auc(&first, &positive).unwrap() - 0.8072916666666666).abs() < 1e-12);
    assert!((auc(&tied, &positive).unwrap() - 0.7890625).abs() < 1e-12);
    assert!(auc(&first, &[true; 80]).is_err());
    let decided: Vec<usize> = (0..80).map(|i| (d.x.row(i)[1] + 1.0).round().clamp(0.0, 2.0) as usize).collect();
    let three: Vec<usize> = d.three.iter().map(|y| *y as usize).collect();
    assert!((balanced_accuracy(&decided, &three) - 0.2690562613430127).abs() < 1e-12);
    assert!((r2(&first, &d.score) - 0.4137373259242523).abs() < 1e-12);
    let mut sorted = first;
    sorted.sort_by(f64::total_cmp);
    assert!((quantile(&sorted, 0.025) + 1.6184360731450822).abs() < 1e-12);
    assert!((quantile(&sorted, 0.9) - 1.5575471285296523).abs() < 1e-12);
}

#[test]
fn adjusted_ps_equal_statsmodels() {
    let p = [0.001, 0.2, 0.03, 0.04, 0.9, 0.008, 0.03];
    let near = |a: Vec<f64>, b: [f64; 7]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
    assert!(near(benjamini_hochberg(&p), [0.007, 0.23333333333333336, 0.0525, 0.056, 0.9, 0.028, 0.0525]));
    assert!(near(holm(&p), [0.007, 0.4, 0.15, 0.15, 0.9, 0.048, 0.15]));
}

#[test]
fn a_bootstrap_of_means_covers_as_it_says() {
    // 300 samples of 40 clusters: the 90 % interval holds the true mean in about 90 %.
    let mut rng = Rng::new(3);
    let covered = (0..300)
        .filter(|i| {
            let v: Vec<f64> = (0..40).map(|_| rng.normal()).collect();
            let mean = |c: &[usize]| Ok(c.iter().map(|k| v[*k]).sum::<f64>() / c.len() as f64);
            let b = cluster_bootstrap("the mean", 40, 400, 0.9, *i, mean).unwrap();
            b.low <= 0.0 && b.high >= 0.0
        })
        .count();
    assert!((250..=288).contains(&covered), "{covered} of 300");
}

/// Which statistic has no value, and why.
#[test]
fn a_bootstrap_without_a_value_says_which_and_why() {
    let told = |groups: usize, draws: usize, f: &dyn Fn(&[usize]) -> Result<f64, String>| {
        cluster_bootstrap("the AUC", groups, draws, 0.9, 0, f).unwrap_err().to_string()
    };
    let one = |_: &[usize]| Err("all answers are right".to_string());
    assert_eq!(told(4, 10, &one), "the AUC has no value over 4 groups: all answers are right");
    let many = told(1, 10, &|_| Ok(1.0));
    assert_eq!(many, "the AUC has no interval: a bootstrap needs 2 groups, there are 1");
    // A value over all groups, and none where a group is drawn twice.
    let whole = |c: &[usize]| if c == [0, 1, 2, 3, 4, 5] { Ok(1.0) } else { Err("a group is missing".to_string()) };
    let most = told(6, 10, &whole);
    assert_eq!(most, "the AUC has no interval: no value in 10 of 10 draws of groups: a group is missing");
    assert!(told(6, 10, &|_| Ok(f64::NAN)).ends_with("10 of 10 draws of groups: it is NaN"));
}

#[test]
fn permutation_ps_count_the_observed_labelling() {
    assert_eq!(permutation_p(1.0, &[0.5, 1.0, 2.0, 0.1]), 3.0 / 5.0);
    assert_eq!(permutation_p(9.0, &[0.0; 99]), 0.01);
}

#[test]
fn clustered_errors_equal_statsmodels() {
    let d = data();
    let x = Matrix { data: (0..80).flat_map(|i| [1.0, d.x.row(i)[0], d.x.row(i)[2]]).collect(), cols: 3 };
    let y: Vec<bool> = d.two.iter().map(|y| *y == 1.0).collect();
    let groups: Vec<u32> = (0..80).map(|i| i / 5).collect();
    let c = clustered_logit(&x, &y, &groups).unwrap();
    let estimates = [0.39957003556934856, 1.3664553901860055, -0.392531642939419];
    let errors = [0.25922872303613576, 0.3167706167610836, 0.22099784950770832];
    for (i, c) in c.iter().enumerate() {
        assert!((c.estimate - estimates[i]).abs() < 1e-8 && (c.se - errors[i]).abs() < 1e-8, "{c:?}");
    }
    let twice = Matrix { data: (0..80).flat_map(|_| [1.0, 1.0]).collect(), cols: 2 };
    assert!(clustered_logit(&twice, &y, &groups).unwrap_err().to_string().contains("collinear"));
    let separated: Vec<bool> = (0..80).map(|i| d.x.row(i)[0] > 0.0).collect();
    assert!(clustered_logit(&x, &separated, &groups).is_err());
    assert!(clustered_logit(&x, &y, &[0; 80]).is_err());
}
