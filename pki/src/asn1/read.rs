//! A cursor over DER that lends out the original bytes, so that names, keys and extensions can be
//! copied byte for byte.

use const_oid::ObjectIdentifier;
use time::{Date, Month, Time};

use super::tag;
use crate::time::UnixTime;

/// The bytes are not the DER that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed DER: {0}")]
pub struct Malformed(pub(crate) &'static str);

/// One tag, length and value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    /// Identifier octet.
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    /// Including tag and length.
    pub(crate) whole: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Reader of the content of the one element that `bytes` consists of.
    pub(crate) fn inside(bytes: &'a [u8], tag: u8) -> Result<Self, Malformed> {
        let mut outer = Self::new(bytes);
        let inner = outer.nested(tag)?;
        outer.finish()?;
        Ok(inner)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Octets that were not read.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Refuses whatever was not read.
    pub(crate) fn finish(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Malformed("trailing data"))
        }
    }

    pub(crate) fn next(&mut self) -> Result<Element<'a>, Malformed> {
        const TRUNCATED: Malformed = Malformed("truncated");
        let whole = self.rest;
        let (tag, rest) = whole.split_first().ok_or(TRUNCATED)?;
        if tag & tag::NUMBER_MASK == tag::NUMBER_MASK {
            return Err(Malformed("tag of several octets"));
        }
        let (first, rest) = rest.split_first().ok_or(TRUNCATED)?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            0x81..=0x84 => {
                let (octets, rest) = rest
                    .split_at_checked(usize::from(first & 0x7f))
                    .ok_or(TRUNCATED)?;
                (long_length(octets)?, rest)
            }
            _ => return Err(Malformed("length is indefinite or too large")),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(Element {
            tag: *tag,
            content,
            whole: whole
                .get(..whole.len().saturating_sub(rest.len()))
                .unwrap_or_default(),
        })
    }

    pub(crate) fn take(&mut self, tag: u8) -> Result<Element<'a>, Malformed> {
        let element = self.next()?;
        if element.tag == tag {
            Ok(element)
        } else {
            Err(Malformed("unexpected tag"))
        }
    }

    /// The next element if it has this tag.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let before = *self;
        let element = self.next()?;
        if element.tag == tag {
            return Ok(Some(element));
        }
        *self = before;
        Ok(None)
    }

    pub(crate) fn nested(&mut self, tag: u8) -> Result<Self, Malformed> {
        Ok(Self::new(self.take(tag)?.content))
    }

    pub(crate) fn sequence(&mut self) -> Result<Self, Malformed> {
        self.nested(tag::SEQUENCE)
    }

    pub(crate) fn oid(&mut self) -> Result<ObjectIdentifier, Malformed> {
        self.take(tag::OBJECT_IDENTIFIER)?.oid()
    }

    /// Content octets of a BIT STRING of whole bytes.
    pub(crate) fn bit_string(&mut self) -> Result<&'a [u8], Malformed> {
        match self.take(tag::BIT_STRING)?.content.split_first() {
            Some((0, bytes)) => Ok(bytes),
            _ => Err(Malformed("bit string is not of whole bytes")),
        }
    }

    /// BOOLEAN DEFAULT FALSE. Any non-zero octet counts as true.
    pub(crate) fn optional_boolean(&mut self) -> Result<bool, Malformed> {
        match self.optional(tag::BOOLEAN)? {
            None => Ok(false),
            Some(Element {
                content: [octet], ..
            }) => Ok(*octet != 0),
            Some(_) => Err(Malformed("boolean is not one octet")),
        }
    }
}

impl<'a> Element<'a> {
    pub(crate) fn reader(&self) -> Reader<'a> {
        Reader::new(self.content)
    }

    pub(crate) fn oid(&self) -> Result<ObjectIdentifier, Malformed> {
        ObjectIdentifier::from_bytes(self.content)
            .map_err(|_| Malformed("invalid object identifier"))
    }

    /// Octets of a non-negative INTEGER without leading zeros; empty for zero.
    pub(crate) fn unsigned(&self) -> Result<&'a [u8], Malformed> {
        match self.content {
            [] => Err(Malformed("empty integer")),
            [0, low, ..] if *low < 0x80 => Err(Malformed("integer is not minimal")),
            [0, magnitude @ ..] => Ok(magnitude),
            [high, ..] if *high >= 0x80 => Err(Malformed("negative integer")),
            magnitude => Ok(magnitude),
        }
    }

    pub(crate) fn small_unsigned(&self) -> Result<u64, Malformed> {
        let magnitude = self.unsigned()?;
        if magnitude.len() > size_of::<u64>() {
            return Err(Malformed("integer is too large"));
        }
        Ok(magnitude
            .iter()
            .fold(0, |value, octet| (value << 8) | u64::from(*octet)))
    }

    /// A character string as UTF-8. Types whose octets are a superset of ASCII in practice are read
    /// as UTF-8, like Go does.
    pub(crate) fn text(&self) -> Result<String, Malformed> {
        const INVALID: Malformed = Malformed("invalid string");
        match self.tag {
            tag::UTF8_STRING
            | tag::PRINTABLE_STRING
            | tag::IA5_STRING
            | tag::NUMERIC_STRING
            | tag::VISIBLE_STRING => String::from_utf8(self.content.to_vec()).map_err(|_| INVALID),
            tag::TELETEX_STRING => Ok(self.content.iter().copied().map(char::from).collect()),
            tag::BMP_STRING => {
                let (pairs, odd) = self.content.as_chunks::<2>();
                if !odd.is_empty() {
                    return Err(INVALID);
                }
                char::decode_utf16(pairs.iter().copied().map(u16::from_be_bytes))
                    .collect::<Result<_, _>>()
                    .map_err(|_| INVALID)
            }
            _ => Err(Malformed("unsupported string type")),
        }
    }

    /// `UTCTime` or `GeneralizedTime` as RFC 5280 §4.1.2.5 restricts them.
    pub(crate) fn time(&self) -> Result<UnixTime, Malformed> {
        let (year, rest) = match (self.tag, self.content) {
            (tag::UTC_TIME, [y1, y2, rest @ ..]) => {
                let year = two_digits(*y1, *y2)?;
                let century = if year < 50 { 2000 } else { 1900 };
                (century + i32::from(year), rest)
            }
            (tag::GENERALIZED_TIME, [c1, c2, y1, y2, rest @ ..]) => {
                let century = i32::from(two_digits(*c1, *c2)?);
                (century * 100 + i32::from(two_digits(*y1, *y2)?), rest)
            }
            _ => return Err(Malformed("not a time")),
        };
        let [mo1, mo2, d1, d2, h1, h2, mi1, mi2, s1, s2, b'Z'] = rest else {
            return Err(Malformed("time is not to the second in UTC"));
        };
        let invalid = |_| Malformed("no such time");
        let month = Month::try_from(two_digits(*mo1, *mo2)?).map_err(invalid)?;
        let date = Date::from_calendar_date(year, month, two_digits(*d1, *d2)?).map_err(invalid)?;
        let (hour, minute) = (two_digits(*h1, *h2)?, two_digits(*mi1, *mi2)?);
        let time = Time::from_hms(hour, minute, two_digits(*s1, *s2)?).map_err(invalid)?;
        Ok(UnixTime(date.with_time(time).assume_utc().unix_timestamp()))
    }
}

fn long_length(octets: &[u8]) -> Result<usize, Malformed> {
    let length = octets
        .iter()
        .fold(0_u32, |length, octet| (length << 8) | u32::from(*octet));
    let minimal = length >= 0x80 && octets.first() != Some(&0);
    usize::try_from(length)
        .ok()
        .filter(|_| minimal)
        .ok_or(Malformed("length is not minimal"))
}

fn two_digits(tens: u8, ones: u8) -> Result<u8, Malformed> {
    if tens.is_ascii_digit() && ones.is_ascii_digit() {
        Ok((tens - b'0') * 10 + (ones - b'0'))
    } else {
        Err(Malformed("time has a character that is no digit"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::Writer;

    #[test]
    fn times_survive_a_round_trip_on_both_sides_of_2050() {
        for seconds in [
            0,
            -1,
            -631_152_000,
            -631_152_001,
            951_782_400,
            2_524_607_999,
            2_524_608_000,
            UnixTime::MAX.0,
        ] {
            let mut writer = Writer::default();
            writer.time(UnixTime(seconds));
            let der = writer.into_bytes();
            let element = Reader::new(&der).next().unwrap();
            assert_eq!(element.time(), Ok(UnixTime(seconds)));
        }
    }

    #[test]
    fn refuses_impossible_times() {
        for text in [
            "990230000000Z",
            "9901010000Z",
            "990101000000+0100",
            "99010100000xZ",
        ] {
            let mut writer = Writer::default();
            writer.primitive(0x17, text.as_bytes());
            let der = writer.into_bytes();
            assert!(Reader::new(&der).next().unwrap().time().is_err(), "{text}");
        }
    }

    #[test]
    fn refuses_truncated_and_indefinite_lengths() {
        for bytes in [
            &b"\x30\x80\0\0"[..],
            b"\x30\x05\x02\x01",
            b"\x30",
            b"",
            b"\x30\x81\x05",
        ] {
            assert!(Reader::new(bytes).next().is_err());
        }
    }
}
