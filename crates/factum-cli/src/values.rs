//! Values on the command line that have a form of their own.

use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use factum::{Expected, RecordedEvent, Timestamp, Version, limits};

/// At least one.
pub(crate) fn count() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(1..)
}

/// As many events as an append or a page may have.
pub(crate) fn batch() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(1..=limits::APPEND_EVENTS_MAX as u64)
}

/// As many tasks as one process can reasonably run.
pub(crate) fn clients() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(1..=4096)
}

/// As many bytes as an event may have, at least the two of an empty text.
pub(crate) fn size() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(2..=limits::EVENT_BYTES_MAX as u64)
}

/// `any`, `none`, `exists`, or a version.
pub(crate) fn expected(text: &str) -> Result<Expected, String> {
    match text {
        "any" => Ok(Expected::Any),
        "none" => Ok(Expected::NO_STREAM),
        "exists" => Ok(Expected::Exists),
        _ => match text.parse() {
            Ok(version) => Ok(Expected::Exact(Version::new(version))),
            Err(_) => Err("write any, none, exists, or the number of events in the stream".to_owned()),
        },
    }
}

/// `name=value`
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as name=value".to_owned()),
    }
}

/// `90s`, `15m`, `2h` or `7d`
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let unit_secs = |unit| match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(60 * 60),
        "d" => Some(24 * 60 * 60),
        _ => None,
    };
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let secs = number.parse::<u64>().ok().zip(unit_secs(unit)).and_then(|(number, secs)| number.checked_mul(secs));
    match secs {
        Some(secs) => Ok(Duration::from_secs(secs)),
        None => Err("write a number and its unit, such as 90s, 15m, 2h or 7d".to_owned()),
    }
}

/// A time, or an age.
pub(crate) fn since(text: &str) -> Result<Timestamp, String> {
    match (text.parse(), duration(text)) {
        (Ok(time), _) => Ok(time),
        (_, Ok(age)) => Ok(Timestamp::now().earlier(age)),
        _ => Err("write a time like 2026-11-23T09:30:00Z, offset included, or an age like 15m".to_owned()),
    }
}

/// As of when a stream is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    Version(Version),
    Time(Timestamp),
}

impl At {
    /// Whether the event was there by then.
    pub(crate) fn includes(self, event: &RecordedEvent) -> bool {
        match self {
            Self::Version(version) => event.version <= version,
            Self::Time(time) => event.recorded_at <= time,
        }
    }
}

/// A version, or a time.
pub(crate) fn at(text: &str) -> Result<At, String> {
    match (text.parse().map(Version::new), text.parse()) {
        (Ok(version), _) => Ok(At::Version(version)),
        (_, Ok(time)) => Ok(At::Time(time)),
        _ => Err("write a version, or a time like 2026-11-23T09:30:00Z, offset included".to_owned()),
    }
}

/// `N..M`
pub(crate) fn versions(text: &str) -> Result<(Version, Version), String> {
    let parse = |text: &str| text.parse().ok().map(Version::new);
    let versions = text.split_once("..").and_then(|(before, after)| Some((parse(before)?, parse(after)?)));
    versions.ok_or_else(|| "write it as two versions, such as 3..7".to_owned())
}

/// `utc`, or an offset: what a time that names no zone is to end in.
pub(crate) fn zone(text: &str) -> Result<String, String> {
    let suffix = if text.eq_ignore_ascii_case("utc") { "Z" } else { text };
    match format!("2000-01-01T00:00:00{suffix}").parse::<Timestamp>() {
        Ok(_) => Ok(suffix.to_owned()),
        Err(_) => Err("write utc, or an offset such as +02:00".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Timestamp, duration, since, zone};

    #[test]
    fn a_duration_is_a_number_with_a_unit() {
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for refused in ["", "h", "2", "2 h", "-1s", "99999999999999999999d", "9999999999999999d", "1д"] {
            assert!(duration(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_zone_is_utc_or_an_offset() {
        assert_eq!(zone("UTC").as_deref(), Ok("Z"));
        assert_eq!(zone("+02:00").as_deref(), Ok("+02:00"));
        assert!(zone("Amsterdam").is_err() && zone("").is_err());
    }

    #[test]
    fn since_takes_a_time_and_an_age() {
        assert_eq!(since("1970-01-01T00:00:01Z").map(Timestamp::as_micros), Ok(1_000_000));
        assert!(since("1h").unwrap() < since("1m").unwrap());
        assert!(since("yesterday").is_err());
    }
}
