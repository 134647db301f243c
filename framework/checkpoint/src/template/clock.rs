//! `strftime_now`: the time that a template writes.
use super::errors::invalid;
use crate::{Error, Result};
use chrono::format::{Fixed, Item, StrftimeItems};
use chrono::{NaiveDate, NaiveDateTime};
use minijinja::Environment;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The time that a template takes for now. It is given: the prompts of a run must not depend on when it is made.
#[derive(Debug, Clone, Default)]
pub(super) struct Clock {
    now: Option<NaiveDateTime>,
    /// Whether it was asked for the time, and had none.
    lacking: Arc<AtomicBool>,
}

impl Clock {
    pub fn new(now: Option<NaiveDateTime>) -> Self {
        Self { now, lacking: Arc::default() }
    }

    /// Adds `strftime_now` to an environment.
    pub fn add(&self, env: &mut Environment<'static>) {
        let clock = self.clone();
        env.add_function("strftime_now", move |format: String| match clock.now {
            Some(now) => strftime(now, &format),
            None => {
                clock.lacking.store(true, Ordering::Relaxed);
                Err(invalid("strftime_now has no date"))
            }
        });
    }

    /// The error of a rendering that failed because there is no date, if it did since the last call.
    pub fn lacked(&self) -> Option<Error> {
        self.lacking.swap(false, Ordering::Relaxed).then(|| {
            Error::key(
                "template_date",
                "the chat template writes the date of the day, so the same study would have other prompts tomorrow; give it a date, such as `template_date = \"2026-07-26\"`",
            )
        })
    }
}

/// Reads `model.template_date`: a day, or a day and a time.
///
/// # Errors
/// If it is neither.
pub(super) fn date(text: &str) -> Result<NaiveDateTime> {
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10)?.and_hms_opt(0, 0, 0);
    let time = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S").ok().filter(|_| text.len() == 19);
    day().or_else(time).ok_or_else(|| {
        Error::key(
            "template_date",
            format!("{text:?} is no date; write a day, `2026-07-26`, or a time, `2026-07-26T09:30:00`"),
        )
    })
}

/// Python's `datetime.strftime` of a local time.
fn strftime(now: NaiveDateTime, format: &str) -> std::result::Result<String, minijinja::Error> {
    let items: Vec<Item<'_>> = StrftimeItems::new(format).collect();
    let mut out = String::new();
    for item in items {
        let written = match &item {
            Item::Error => Err(std::fmt::Error),
            // A local time without a time zone: `%Z` and `%z` write nothing.
            Item::Fixed(Fixed::TimezoneName | Fixed::TimezoneOffset) => Ok(()),
            item => write!(out, "{}", now.format_with_items(std::iter::once(item))),
        };
        written.map_err(|_| invalid(format!("strftime_now cannot write `{format}`")))?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_written_as_python_writes_them() {
        let now = date("2026-03-07T09:05:03").unwrap();
        assert_eq!(strftime(now, "%d %b %Y %H:%M:%S%%").unwrap(), "07 Mar 2026 09:05:03%");
        assert!(strftime(now, "%Q").is_err());
    }

    #[test]
    fn a_date_is_a_day_or_a_time() {
        assert_eq!(date("2026-07-26").unwrap().to_string(), "2026-07-26 00:00:00");
        for wrong in ["", "today", "2026-7-26", "2026-13-01", "2026-02-30", "26.07.2026", "2026-07-26 09:30"] {
            let told = date(wrong).unwrap_err().to_string();
            assert!(told.starts_with("`model.template_date`:") && told.contains("is no date"), "{told}");
        }
    }
}
