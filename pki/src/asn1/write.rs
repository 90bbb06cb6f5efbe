//! Appends DER to one buffer; lengths are filled in when an element is closed.

use const_oid::ObjectIdentifier;
use time::OffsetDateTime;

use super::tag;
use crate::time::UnixTime;

#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Element that already is DER.
    pub(crate) fn raw(&mut self, der: &[u8]) {
        self.bytes.extend_from_slice(der);
    }

    pub(crate) fn nested(&mut self, tag: u8, content: impl FnOnce(&mut Self)) {
        self.bytes.extend_from_slice(&[tag, 0]);
        let start = self.bytes.len();
        content(self);
        let length = self.bytes.len() - start;
        if let Ok(short @ 0..0x80) = u8::try_from(length) {
            if let Some(octet) = self.bytes.get_mut(start - 1) {
                *octet = short;
            }
        } else {
            let (octets, count) = long_length(length);
            self.bytes
                .splice(start - 1..start, octets.into_iter().take(count));
        }
    }

    pub(crate) fn sequence(&mut self, content: impl FnOnce(&mut Self)) {
        self.nested(tag::SEQUENCE, content);
    }

    pub(crate) fn primitive(&mut self, tag: u8, content: &[u8]) {
        self.bytes.push(tag);
        if let Ok(short @ 0..0x80) = u8::try_from(content.len()) {
            self.bytes.push(short);
        } else {
            let (octets, count) = long_length(content.len());
            self.bytes.extend(octets.into_iter().take(count));
        }
        self.bytes.extend_from_slice(content);
    }

    pub(crate) fn oid(&mut self, oid: ObjectIdentifier) {
        self.primitive(tag::OBJECT_IDENTIFIER, oid.as_bytes());
    }

    pub(crate) fn null(&mut self) {
        self.primitive(tag::NULL, &[]);
    }

    pub(crate) fn boolean_true(&mut self) {
        self.primitive(tag::BOOLEAN, &[0xff]);
    }

    pub(crate) fn octet_string(&mut self, content: &[u8]) {
        self.primitive(tag::OCTET_STRING, content);
    }

    pub(crate) fn utf8_string(&mut self, text: &str) {
        self.primitive(tag::UTF8_STRING, text.as_bytes());
    }

    pub(crate) fn ia5_string(&mut self, text: &str) {
        self.primitive(tag::IA5_STRING, text.as_bytes());
    }

    /// BIT STRING of whole bytes.
    pub(crate) fn bit_string(&mut self, content: &[u8]) {
        self.nested(tag::BIT_STRING, |writer| {
            writer.bytes.push(0);
            writer.raw(content);
        });
    }

    /// INTEGER from big-endian octets without sign.
    pub(crate) fn unsigned(&mut self, magnitude: &[u8]) {
        let zeros = magnitude.iter().take_while(|octet| **octet == 0).count();
        let digits = magnitude.get(zeros..).unwrap_or_default();
        self.nested(tag::INTEGER, |writer| {
            if digits.first().is_none_or(|high| *high >= 0x80) {
                writer.bytes.push(0);
            }
            writer.raw(digits);
        });
    }

    pub(crate) fn small_unsigned(&mut self, value: u64) {
        self.unsigned(&value.to_be_bytes());
    }

    /// `UTCTime` from 1950 to 2049, else `GeneralizedTime` (RFC 5280 §4.1.2.5). Times that neither
    /// can say become the nearest that one can.
    pub(crate) fn time(&mut self, time: UnixTime) {
        if (YEAR_1950..YEAR_2050).contains(&time) {
            let [_, _, octets @ ..] = time_octets(time);
            self.primitive(tag::UTC_TIME, &octets);
        } else {
            self.generalized_time(time);
        }
    }

    pub(crate) fn generalized_time(&mut self, time: UnixTime) {
        self.primitive(tag::GENERALIZED_TIME, &time_octets(time));
    }
}

const YEAR_0: UnixTime = UnixTime(-62_167_219_200);
const YEAR_1950: UnixTime = UnixTime(-631_152_000);
const YEAR_2050: UnixTime = UnixTime(2_524_608_000);

/// `YYYYMMDDHHMMSSZ`.
fn time_octets(time: UnixTime) -> [u8; 15] {
    let moment = OffsetDateTime::from_unix_timestamp(time.clamp(YEAR_0, UnixTime::MAX).0)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = moment.to_calendar_date();
    let (hour, minute, second) = moment.to_hms();
    let year = year.unsigned_abs();
    let [c1, c2] = digits(year / 100);
    let [y1, y2] = digits(year);
    let [[mo1, mo2], [d1, d2], [h1, h2], [mi1, mi2], [s1, s2]] =
        [u8::from(month), day, hour, minute, second].map(|value| digits(u32::from(value)));
    [
        c1, c2, y1, y2, mo1, mo2, d1, d2, h1, h2, mi1, mi2, s1, s2, b'Z',
    ]
}

/// Octets of a length of 128 or more, and how many of them.
fn long_length(length: usize) -> ([u8; 9], usize) {
    let octets = length.to_be_bytes();
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    let count = octets.len() - zeros;
    let mut encoded = [0; 9];
    let digits = octets.iter().skip(zeros);
    let first = 0x80 | u8::try_from(count).unwrap_or_default();
    for (slot, octet) in encoded.iter_mut().zip([first].iter().chain(digits)) {
        *slot = *octet;
    }
    (encoded, count + 1)
}

/// Last two decimal digits.
fn digits(value: u32) -> [u8; 2] {
    [value / 10 % 10, value % 10].map(|digit| b'0' + u8::try_from(digit).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_few_octets_as_possible() {
        for (length, header) in [
            (0, &[0x30, 0][..]),
            (127, &[0x30, 0x7f]),
            (128, &[0x30, 0x81, 0x80]),
            (255, &[0x30, 0x81, 0xff]),
            (256, &[0x30, 0x82, 1, 0]),
            (65_536, &[0x30, 0x83, 1, 0, 0]),
        ] {
            let content = vec![0xab; length];
            let mut nested = Writer::default();
            nested.sequence(|writer| writer.raw(&content));
            let mut primitive = Writer::default();
            primitive.primitive(0x30, &content);
            assert_eq!(nested.as_bytes(), [header, &content].concat());
            assert_eq!(primitive.as_bytes(), nested.as_bytes());
        }
    }

    #[test]
    fn integers_are_minimal_and_positive() {
        for (value, expected) in [
            (0, &[2, 1, 0][..]),
            (127, &[2, 1, 127]),
            (128, &[2, 2, 0, 128]),
            (256, &[2, 2, 1, 0]),
        ] {
            let mut writer = Writer::default();
            writer.small_unsigned(value);
            assert_eq!(writer.as_bytes(), expected);
        }
    }
}
