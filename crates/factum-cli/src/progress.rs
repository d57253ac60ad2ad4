//! How far a long command is: a bar on a terminal, and otherwise a line now and then.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The progress of a command; it vanishes from a terminal when it is dropped.
pub(crate) struct Progress {
    total: Option<u64>,
    started: Instant,
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar),
    Lines { last: Instant },
    Nothing,
}

impl Progress {
    /// Starts the clock.
    pub(crate) fn start(total: Option<u64>, terminal: bool, quiet: bool) -> Self {
        let started = Instant::now();
        let shown = match (quiet, terminal) {
            (true, _) => Shown::Nothing,
            (_, true) => Shown::Bar(bar(total)),
            _ => Shown::Lines { last: started },
        };
        Self { total, started, shown }
    }

    /// Shows that `count` things are done: so far, `done` units of the total.
    pub(crate) fn show(&mut self, count: u64, what: &str, done: u64) {
        let elapsed = self.started.elapsed();
        let text = || line(count, what, elapsed, self.total.map(|total| (done, total)));
        match &mut self.shown {
            Shown::Bar(bar) => {
                bar.set_position(done);
                bar.set_message(text());
            }
            Shown::Lines { last } if LINE_EVERY <= last.elapsed() => {
                *last = Instant::now();
                eprintln!("{}", text());
            }
            Shown::Lines { .. } | Shown::Nothing => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let template = if total.is_some() { "{bar:30} {msg}" } else { "{spinner} {msg}" };
    let style = ProgressStyle::with_template(template).expect("the template is well formed");
    ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr()).with_style(style)
}

/// `1.2 M events · 84 k/s · 02:10 left`
fn line(count: u64, what: &str, elapsed: Duration, done_of: Option<(u64, u64)>) -> String {
    let secs = elapsed.as_secs_f64().max(f64::EPSILON);
    let rate = count as f64 / secs;
    let mut text = format!("{} {what} · {}/s", short(count as f64), short(rate));
    if let Some((done, total)) = done_of.filter(|&(done, total)| 0 < done && done <= total) {
        let left = (secs * (total - done) as f64 / done as f64).round() as u64;
        text += &format!(" · {:02}:{:02} left", left / 60, left % 60);
    }
    text
}

/// A number in three digits or so: `950`, `8.6 k`, `84 k`, `1.2 M`.
pub(crate) fn short(number: f64) -> String {
    let (scaled, unit) = match number {
        n if n < 1e3 => (n, ""),
        n if n < 1e6 => (n / 1e3, " k"),
        n if n < 1e9 => (n / 1e6, " M"),
        n => (n / 1e9, " G"),
    };
    if scaled < 10.0 && !unit.is_empty() { format!("{scaled:.1}{unit}") } else { format!("{scaled:.0}{unit}") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{line, short};

    #[test]
    fn progress_says_how_much_how_fast_and_how_long_still() {
        let secs = Duration::from_secs(10);
        assert_eq!(line(1_200_000, "events", secs, Some((100, 1400))), "1.2 M events · 120 k/s · 02:10 left");
        assert_eq!(line(50, "events", secs, None), "50 events · 5/s");
        assert_eq!(line(0, "events", Duration::ZERO, Some((0, 10))), "0 events · 0/s");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([999.0, 8577.0, 84_000.0, 2e9].map(short), ["999", "8.6 k", "84 k", "2.0 G"]);
    }
}
