use super::*;

fn measured() -> Table {
    Table::new("t", "")
        .column(Column::text("level", ["short", "漢字漢字", "\u{1b}[31mred"]))
        .column(Column::number("right", [62.54, f64::NAN, 0.01]).unit("%").digits(1))
        .column(Column::count("replies", [40, 7, -3]))
        .column(Column::number("p_value", [0.01234, 2e-9, 0.0]).digits(4))
}

#[test]
fn columns_are_aligned_with_units_and_digits() {
    let want = [
        "level          right (%)  replies  p value",
        "short               62.5       40   0.0123",
        "漢字漢字               –        7   2.0e-9",
        "\\u{1b}[31mred        0.0       -3   0.0000",
    ];
    assert_eq!(lines(&measured(), 80), want);
}

#[test]
fn a_wide_table_is_printed_in_parts_and_numbers_stay_whole() {
    let mut wide = measured();
    for i in 0..6 {
        wide = wide.column(Column::number(format!("measure_{i}"), [1234.5678, -0.5, 2e9]).digits(2));
    }
    wide = wide.column(Column::text("label", ["one that is long enough to be broken into lines", "b", "c"]));
    for width in [40, 60, 100] {
        let got = lines(&wide, width);
        assert!(got.iter().all(|l| measure_text_width(l) <= width), "{got:#?}");
        let text = got.join("\n");
        assert_eq!(text.matches("1234.57").count(), 6, "{text}");
        assert_eq!(text.matches("2.0e9").count(), 6, "{text}");
        assert!(text.matches("level").count() > 1 && !text.contains('\u{1b}') && !text.contains('…'), "{text}");
        for word in "one that is long enough to be broken into lines".split(' ') {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
}

#[test]
fn headings_are_broken_before_numbers_are_parted() {
    let table = Table::new("t", "")
        .column(Column::text("control", ["random", "shuffled-label"]))
        .column(Column::number("mean_difference", [0.5, -0.04]).digits(1))
        .column(Column::count("as_large", [0, 12]));
    let want = [
        "control                  mean  as large",
        "                   difference",
        "random                    0.5         0",
        "shuffled-label            0.0        12",
    ];
    assert_eq!(lines(&table, 39), want);
    assert_eq!(lines(&table, 60)[0], "control         mean difference  as large");
}

#[test]
fn a_long_table_is_cut_and_says_where_the_rest_is() {
    let long = Table::new("long", "").column(Column::count("turn", 1..=100));
    let got = lines(&long, 80);
    assert_eq!(
        (got.len(), got[ROWS].as_str(), got[ROWS + 1].as_str()),
        (ROWS + 2, "  60", "… 40 more rows in long.csv")
    );
    assert_eq!(lines(&Table::new("none", ""), 80), Vec::<String>::new());
    assert_eq!(lines(&Table::new("empty", "").column(Column::count("turn", [])), 80), ["turn"]);
}

#[test]
fn sentences_are_broken_and_long_words_stay_whole() {
    let text = "of /a/path/that/is/longer/than/the/line and more";
    assert_eq!(paragraph(text, 12), ["of", "  /a/path/that/is/longer/than/the/line", "  and more"]);
    assert_eq!(wrapped(text, 12, 2), ["of", "  /a/path/t…"]);
}
