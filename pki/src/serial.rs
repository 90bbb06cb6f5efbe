//! Serial numbers of certificates (RFC 5280 §4.1.2.2).

use std::fmt::Write as _;

use crate::asn1::Malformed;

/// A positive integer of up to 64 octets; those made here have 20.
///
/// Ordered by value. Made ones start with the time, so that they are nearly sequential.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SerialNumber {
    length: u8,
    /// Big-endian without leading zeros, then zeros.
    octets: [u8; MAX_OCTETS],
}

/// The text is not a serial number in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("serial number is not hexadecimal octets separated by colons or hyphens")]
pub struct SerialTextInvalid;

impl SerialNumber {
    /// `now_millis` since the Unix epoch, `random` from a cryptographic generator.
    #[must_use]
    pub fn new(now_millis: u64, random: [u8; 14]) -> Self {
        let [_, _, millis @ ..] = now_millis.to_be_bytes();
        let mut octets = [0; 20];
        let (time_part, random_part) = octets.split_at_mut(millis.len());
        time_part.copy_from_slice(&millis);
        random_part.copy_from_slice(&random);
        if let Some(first) = octets.first_mut() {
            *first &= 0x7f;
        }
        let serial = Self::from_magnitude(&octets).unwrap_or(Self::ONE);
        if serial.length == 0 {
            Self::ONE
        } else {
            serial
        }
    }

    const ONE: Self = {
        let mut octets = [0; MAX_OCTETS];
        octets[0] = 1;
        Self { length: 1, octets }
    };

    /// From big-endian octets without sign; leading zeros are dropped.
    pub fn from_magnitude(magnitude: &[u8]) -> Result<Self, Malformed> {
        const TOO_LONG: Malformed = Malformed("serial number is too long");
        let zeros = magnitude.iter().take_while(|octet| **octet == 0).count();
        let digits = magnitude.get(zeros..).unwrap_or_default();
        let mut octets = [0; MAX_OCTETS];
        let target = octets.get_mut(..digits.len()).ok_or(TOO_LONG)?;
        target.copy_from_slice(digits);
        let length = u8::try_from(digits.len()).map_err(|_| TOO_LONG)?;
        Ok(Self { length, octets })
    }

    /// Octets separated by `:` or `-`, in any case.
    pub fn parse(text: &str) -> Result<Self, SerialTextInvalid> {
        if text.len() > MAX_OCTETS * 3 {
            return Err(SerialTextInvalid);
        }
        let octets = text
            .split([':', '-'])
            .map(|octet| match octet.len() {
                1 | 2 if octet.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
                    u8::from_str_radix(octet, 16).map_err(|_| SerialTextInvalid)
                }
                _ => Err(SerialTextInvalid),
            })
            .collect::<Result<Vec<_>, _>>()?;
        Self::from_magnitude(&octets).map_err(|_| SerialTextInvalid)
    }

    /// Big-endian without sign; one zero octet for zero.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let length = usize::from(self.length.max(1));
        self.octets.get(..length).unwrap_or_default()
    }

    /// `1f:a2:…`, as certificates are shown.
    #[must_use]
    pub fn to_colon_hex(&self) -> String {
        self.to_hex(':')
    }

    /// `1f-a2-…`, as certificates are stored.
    #[must_use]
    pub fn to_hyphen_hex(&self) -> String {
        self.to_hex('-')
    }

    fn to_hex(self, separator: char) -> String {
        separated_hex(self.as_bytes(), separator)
    }
}

impl std::fmt::Debug for SerialNumber {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.to_colon_hex())
    }
}

impl std::fmt::Display for SerialNumber {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.to_colon_hex())
    }
}

/// Lower-case hexadecimal octets with a separator between them, as Vault shows serial numbers and
/// key identifiers.
#[must_use]
pub fn separated_hex(bytes: &[u8], separator: char) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (index, octet) in bytes.iter().enumerate() {
        if index > 0 {
            text.push(separator);
        }
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{octet:02x}");
    }
    text
}

/// RFC 5280 allows 20; some private authorities use more.
const MAX_OCTETS: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MILLIS: u64 = 1_767_225_600_000;

    proptest! {
        #[test]
        fn made_serials_have_20_octets_and_are_positive(random: [u8; 14]) {
            let serial = SerialNumber::new(NOW_MILLIS, random);
            prop_assert_eq!(serial.as_bytes().len(), 20);
            prop_assert!(serial.as_bytes()[0] < 0x80);
        }

        #[test]
        fn both_renderings_parse_back(magnitude in proptest::collection::vec(any::<u8>(), 1..=64)) {
            let serial = SerialNumber::from_magnitude(&magnitude).unwrap();
            prop_assert_eq!(SerialNumber::parse(&serial.to_colon_hex()), Ok(serial));
            prop_assert_eq!(SerialNumber::parse(&serial.to_hyphen_hex().to_uppercase()), Ok(serial));
        }

        #[test]
        fn later_serials_sort_after_earlier_ones(first: [u8; 14], second: [u8; 14], gap in 1_u64..1_000_000) {
            let earlier = SerialNumber::new(NOW_MILLIS, first);
            let later = SerialNumber::new(NOW_MILLIS + gap, second);
            prop_assert!(earlier < later);
            prop_assert!(earlier.to_hyphen_hex() < later.to_hyphen_hex());
        }

        #[test]
        fn no_text_makes_parsing_panic(text: String) {
            let _ = SerialNumber::parse(&text);
        }
    }

    #[test]
    fn is_never_zero() {
        assert_eq!(SerialNumber::new(0, [0; 14]).to_colon_hex(), "01");
        assert_eq!(SerialNumber::new(u64::MAX, [0xff; 14]).as_bytes()[0], 0x7f);
    }

    #[test]
    fn refuses_text_that_is_no_serial_number() {
        for text in [
            "",
            ":",
            "1:",
            "xyz",
            "0g",
            "+1",
            "123",
            "1 2",
            &"00:".repeat(70),
        ] {
            assert_eq!(SerialNumber::parse(text), Err(SerialTextInvalid), "{text}");
        }
    }
}
