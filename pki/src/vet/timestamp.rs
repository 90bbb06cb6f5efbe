//! RFC 3339 times as requests carry them. What is accepted, and the sentences for what is not, are
//! those of Go's `time.Parse`.

use std::fmt::{self, Write as _};

use time::{Date, Month, OffsetDateTime};

use crate::time::UnixTime;

/// Reads an RFC 3339 time; fractions of a second are cut off.
pub(crate) fn parse(text: &str) -> Result<UnixTime, TimestampError> {
    let mut cursor = Cursor { text, rest: text };
    let year = cursor.number(4, 4, "2006")?;
    cursor.literal("-")?;
    let month = cursor.number(2, 2, "01")?;
    let Ok(month) =
        u8::try_from(month).map_or(Err(()), |month| Month::try_from(month).map_err(drop))
    else {
        return Err(cursor.out_of_range("month"));
    };
    cursor.literal("-")?;
    let day = cursor.number(2, 2, "02")?;
    cursor.literal("T")?;
    let hour = cursor.number(1, 2, "15")?;
    cursor.below(hour, 24, "hour")?;
    cursor.literal(":")?;
    let minute = cursor.number(2, 2, "04")?;
    cursor.below(minute, 60, "minute")?;
    cursor.literal(":")?;
    let second = cursor.number(2, 2, "05")?;
    cursor.below(second, 60, "second")?;
    cursor.skip_fraction();
    let offset_secs = cursor.offset()?;
    if !cursor.rest.is_empty() {
        return Err(cursor.error(Fault::Extra(cursor.rest.to_owned())));
    }
    let date = i32::try_from(year)
        .ok()
        .zip(u8::try_from(day).ok())
        .and_then(|(year, day)| Date::from_calendar_date(year, month, day).ok())
        .ok_or_else(|| cursor.out_of_range("day"))?;
    let midnight = date.midnight().assume_utc().unix_timestamp();
    let time_of_day = i64::from(hour * 3600 + minute * 60 + second);
    Ok(UnixTime(midnight + time_of_day - offset_secs))
}

/// Writes a time as RFC 3339 in UTC.
pub(crate) fn format(at: UnixTime) -> String {
    let Ok(utc) = OffsetDateTime::from_unix_timestamp(at.0) else {
        return format!("@{}", at.0);
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        utc.year(),
        u8::from(utc.month()),
        utc.day(),
        utc.hour(),
        utc.minute(),
        utc.second()
    )
}

/// Why a text is not an RFC 3339 time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimestampError {
    text: String,
    fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    Extra(String),
    OutOfRange(&'static str),
    Unexpected { rest: String, element: &'static str },
}

impl std::error::Error for TimestampError {}

impl fmt::Display for TimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = quote_bytes(&self.text);
        match &self.fault {
            Fault::Extra(rest) => {
                write!(f, "parsing time {text}: extra text: {}", quote_bytes(rest))
            }
            Fault::OutOfRange(part) => write!(f, "parsing time {text}: {part} out of range"),
            Fault::Unexpected { rest, element } => write!(
                f,
                "parsing time {text} as \"2006-01-02T15:04:05Z07:00\": cannot parse {} as \
                 \"{element}\"",
                quote_bytes(rest)
            ),
        }
    }
}

/// Go's time package escapes every byte outside printable ASCII.
fn quote_bytes(text: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                quoted.push('\\');
                quoted.push(char::from(byte));
            }
            b' '..0x80 => quoted.push(char::from(byte)),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(quoted, "\\x{byte:02x}");
            }
        }
    }
    quoted.push('"');
    quoted
}

struct Cursor<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// At least `least` and at most `most` digits.
    fn number(
        &mut self,
        least: usize,
        most: usize,
        element: &'static str,
    ) -> Result<u32, TimestampError> {
        let (digits, rest) = self.split_digits(most);
        if digits.len() < least {
            return Err(self.unexpected(self.rest, element));
        }
        self.rest = rest;
        digits.parse().map_err(|_| self.unexpected(digits, element))
    }

    fn split_digits(&self, most: usize) -> (&'a str, &'a str) {
        let count = self
            .rest
            .bytes()
            .take(most)
            .take_while(u8::is_ascii_digit)
            .count();
        self.rest.split_at_checked(count).unwrap_or(("", self.rest))
    }

    fn literal(&mut self, expected: &'static str) -> Result<(), TimestampError> {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => Err(self.unexpected(self.rest, expected)),
        }
    }

    fn below(&self, value: u32, limit: u32, part: &'static str) -> Result<(), TimestampError> {
        if value < limit {
            Ok(())
        } else {
            Err(self.out_of_range(part))
        }
    }

    fn skip_fraction(&mut self) {
        let Some(fraction) = self.rest.strip_prefix(['.', ',']) else {
            return;
        };
        let after = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        if after.len() < fraction.len() {
            self.rest = after;
        }
    }

    /// `Z` or `±hh:mm`, in seconds east of UTC.
    fn offset(&mut self) -> Result<i64, TimestampError> {
        const ELEMENT: &str = "Z07:00";
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let start = self.rest;
        let sign = match start.as_bytes().first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(self.unexpected(start, ELEMENT)),
        };
        let digits = |range| {
            start
                .get(range)
                .filter(|two: &&str| two.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|two| two.parse::<i64>().ok())
        };
        let (Some(hours), Some(":"), Some(minutes)) = (digits(1..3), start.get(3..4), digits(4..6))
        else {
            return Err(self.unexpected(start, ELEMENT));
        };
        if hours > 24 {
            return Err(self.out_of_range("time zone offset hour"));
        }
        if minutes > 60 {
            return Err(self.out_of_range("time zone offset minute"));
        }
        self.rest = start.get(6..).unwrap_or_default();
        Ok(sign * (hours * 3600 + minutes * 60))
    }

    fn unexpected(&self, rest: &str, element: &'static str) -> TimestampError {
        let rest = rest.to_owned();
        self.error(Fault::Unexpected { rest, element })
    }

    fn out_of_range(&self, part: &'static str) -> TimestampError {
        self.error(Fault::OutOfRange(part))
    }

    fn error(&self, fault: Fault) -> TimestampError {
        TimestampError {
            text: self.text.to_owned(),
            fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_that_go_accepts_is_read() {
        for (text, secs) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2030-01-01T00:00:00Z", 1_893_456_000),
            ("2030-01-01T00:00:00+02:00", 1_893_448_800),
            ("2030-01-01T00:00:00.123456789123Z", 1_893_456_000),
            ("2030-01-01T00:00:00,5Z", 1_893_456_000),
            ("2030-01-01T0:00:00Z", 1_893_456_000),
            ("2030-01-01T00:00:00+24:00", 1_893_369_600),
            ("2030-01-01T00:00:00-00:00", 1_893_456_000),
            ("9999-12-31T23:59:59Z", UnixTime::MAX.0),
        ] {
            assert_eq!(parse(text), Ok(UnixTime(secs)), "{text}");
        }
    }

    #[test]
    fn malformed_times_are_refused_with_the_sentence_of_go() {
        let unexpected = |text: &str, rest: &str, element: &str| {
            format!(
                "parsing time \"{text}\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"{rest}\" \
                 as \"{element}\""
            )
        };
        for (text, rest, element) in [
            ("foo", "foo", "2006"),
            ("", "", "2006"),
            ("-2030", "-2030", "2006"),
            ("20300101", "0101", "-"),
            ("2030-1-1T00:00:00Z", "1-1T00:00:00Z", "01"),
            ("2030-01-01 00:00:00Z", " 00:00:00Z", "T"),
            ("2030-01-01T", "", "15"),
            ("2030-01-01T00:00:00", "", "Z07:00"),
            ("2030-01-01T00:00:00z", "z", "Z07:00"),
            ("2030-01-01T00:00:00.Z", ".Z", "Z07:00"),
            ("2030-01-01T00:00:00+0200", "+0200", "Z07:00"),
            ("2030-01-01T00:00:00+2", "+2", "Z07:00"),
            ("12030-01-01T00:00:00Z", "0-01-01T00:00:00Z", "-"),
        ] {
            assert_eq!(
                parse(text).unwrap_err().to_string(),
                unexpected(text, rest, element)
            );
        }
        for (text, part) in [
            ("2030-13-01T00:00:00Z", "month"),
            ("2030-00-01T00:00:00Z", "month"),
            ("2030-02-30T00:00:00Z", "day"),
            ("2030-01-00T00:00:00Z", "day"),
            ("2029-02-29T00:00:00Z", "day"),
            ("2030-01-01T24:00:00Z", "hour"),
            ("2030-01-01T00:00:60Z", "second"),
            ("2030-01-01T00:00:00+25:00", "time zone offset hour"),
        ] {
            let expected = format!("parsing time \"{text}\": {part} out of range");
            assert_eq!(parse(text).unwrap_err().to_string(), expected);
        }
        assert_eq!(
            parse("2030-01-01T00:00:00Zx").unwrap_err().to_string(),
            "parsing time \"2030-01-01T00:00:00Zx\": extra text: \"x\""
        );
        assert_eq!(
            parse("é").unwrap_err().to_string(),
            "parsing time \"\\xc3\\xa9\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \
             \"\\xc3\\xa9\" as \"2006\""
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(secs in -62_167_219_200_i64..=UnixTime::MAX.0) {
            prop_assert_eq!(parse(&format(UnixTime(secs))), Ok(UnixTime(secs)));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}", cut in "[0-9TZ:+.,é-]{0,30}") {
            let _ = parse(&text);
            let _ = parse(&cut);
        }
    }
}
