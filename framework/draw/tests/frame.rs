//! What every figure promises, whatever names and numbers a study has.
#![allow(clippy::unwrap_used)]
use friction_core::Figure;
use friction_draw::{Axis, Frame, Look, WIDTH, faults, name};

const NONE: Vec<String> = vec![];

/// A figure with a series of intervals for each name.
fn figure(title: &str, names: &[String], ticks: &[String], level: &str) -> Figure {
    let values = |i: usize| (0..ticks.len()).map(move |x| (x as f64, ((7 * x + 3 * i) % 20) as f64));
    let all = (0..names.len()).flat_map(|i| values(i).map(|v| v.1 + 4.0));
    let mut frame = Frame::new("t", title, Axis::names("site", ticks), Axis::numbers("right, %", all))
        .heading("condition")
        .say("Points: share of right answers in 40 groups.")
        .say(format!("Bars: {level} intervals of {}.", name(title)));
    for (i, n) in names.iter().enumerate() {
        frame = frame.key(n, Look::series(i));
    }
    frame
        .draw(|plot| {
            for i in 0..names.len() {
                let points: Vec<(f64, f64)> = values(i).collect();
                let bars: Vec<(f64, f64, f64)> = points.iter().map(|(x, y)| (*x, y - 4.0, y + 4.0)).collect();
                plot.intervals(Look::series(i), &bars)?;
                plot.series(Look::series(i), &points)?;
            }
            plot.across(Look::reference(), 5.0)?;
            plot.upright(Look::reference(), 0.5)
        })
        .unwrap()
}

fn numbered(stem: &str, n: usize) -> Vec<String> {
    (0..n).map(|i| format!("{stem}{i}")).collect()
}

#[test]
fn nothing_overlaps_or_runs_out() {
    for (series, ticks) in [(1, 1), (2, 5), (4, 12), (7, 26), (30, 6), (90, 62)] {
        let f = figure("Where is it read?", &numbered("condition_", series), &numbered("resid_post.", ticks), "95 %");
        assert_eq!(faults(&f).unwrap(), NONE, "{series} series, {ticks} ticks");
    }
}

#[test]
fn hostile_names_are_drawn_as_text_inside_the_canvas() {
    let hostile = [
        "<script>alert(1)</script>".to_string(),
        "]]></text></svg><image href='http://x/'/>".into(),
        "\"quoted\" & 'single' -- <!--".into(),
        "x".repeat(200),
        "W".repeat(5_000),
        "two words ".repeat(40),
        "a\u{0}b\u{1b}[31m\n\tc\u{ffff}".into(),
        "\u{202e}detrevni\u{202c}".into(),
        format!("z{}", "\u{30d}".repeat(300)),
        "条件".repeat(100),
        "👩‍👩‍👧".repeat(60),
        "&#x0; &lt; &unknown;".into(),
        String::new(),
        " ".into(),
    ];
    for title in &hostile {
        // A figure is never without a title: an empty name stands inside a sentence.
        let title = format!("Does {} follow the turns?", name(title));
        let f = figure(&title, &hostile, &hostile, "95 %");
        let found = faults(&f).unwrap();
        assert_eq!(found, NONE, "{title}");
        for bad in ["<script", "<image", "<!--", "\u{202e}", "\u{0}", "]]></text>"] {
            assert!(!f.svg.contains(bad), "{bad:?}");
        }
        assert!(f.svg.contains("&lt;script&gt;"));
    }
}

/// Two long names that differ at the end stay different.
#[test]
fn long_names_keep_their_ends() {
    let long = ["a".repeat(190) + "_polite", "a".repeat(190) + "_blunt"];
    let f = figure("Which?", &long, &numbered("", 4), "95 %");
    assert!(f.svg.contains("_polite") && f.svg.contains("_blunt"));
    assert_eq!(faults(&f).unwrap(), NONE);
}

#[test]
fn the_caption_is_drawn_whole_however_long() {
    let long = "97.5 % ".to_string() + &"Wilson score intervals of each point by itself; ".repeat(30);
    let of = |level: &str| figure("Q?", &numbered("c", 2), &numbered("", 4), level);
    let (short, tall) = (of("95 %"), of(&long));
    assert_eq!(faults(&tall).unwrap(), NONE);
    assert!(tall.caption.contains("97.5 %") && short.caption.contains("Bars: 95 % intervals"));
    assert!(height(&tall) > height(&short) + 100);
    assert!(tall.svg.contains(&format!("width=\"{WIDTH}\"")));
}

/// The height that the PNG states.
fn height(f: &Figure) -> u32 {
    u32::from_be_bytes(f.png[20..24].try_into().unwrap())
}

/// The check finds what it is there to find.
#[test]
fn faults_are_found() {
    let good = figure("Q?", &numbered("c", 3), &numbered("s", 4), "95 %");
    assert_eq!(faults(&good).unwrap(), NONE);
    let moved = |part: &str, by: &str| {
        let group = format!("id=\"t-{part}\"");
        assert!(good.svg.contains(&group));
        let svg = good.svg.replace(&group, &format!("{group} transform=\"translate({by})\""));
        faults(&Figure { svg, ..good.clone() }).unwrap().join("\n")
    };
    assert!(moved("legend", "-150 0").contains("the legend overlaps the plot area"));
    assert!(moved("title", "0 -30").contains("runs out of the canvas"));
    assert!(moved("caption", "0 -40").contains("overlaps"));
    let other = Figure { caption: "Another caption.".into(), ..good.clone() };
    assert!(faults(&other).unwrap()[0].contains("the drawn caption"));
    let cut = Figure { png: good.png[..10].to_vec(), ..good.clone() };
    assert!(faults(&cut).unwrap()[0].contains("the PNG has"));
}

/// Values that are not finite leave gaps, and values outside the axes stand at their ends.
#[test]
fn odd_values_stay_in_the_plot() {
    let draw = |values: &[f64]| {
        let points: Vec<(f64, f64)> = values.iter().enumerate().map(|(i, v)| (i as f64, *v)).collect();
        Frame::new("t", "Q?", Axis::names("x", &["a", "b", "c", "d", "e"]), Axis::numbers("y", [0.0, 1.0]))
            .say("Points.")
            .draw(|plot| {
                plot.intervals(Look::series(0), &[(0.0, f64::NAN, 1.0), (1.0, -1e300, 1e300)])?;
                plot.series(Look::series(0), &points)
            })
            .unwrap()
    };
    let f = draw(&[0.1, f64::NAN, 0.3, f64::INFINITY, 1e9]);
    assert_eq!(faults(&f).unwrap(), NONE);
    // Three markers; the value between two gaps joins nothing.
    assert_eq!(f.svg.matches("<circle").count(), 3);
    assert!(!f.svg.contains("stroke-dasharray"));
    assert_eq!(draw(&[0.1, 0.2, 0.3]).svg.matches("stroke-dasharray").count(), 1);
}
