//! Identifier octets (X.690 §8.1.2).

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const ENUMERATED: u8 = 0x0a;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const NUMERIC_STRING: u8 = 0x12;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const TELETEX_STRING: u8 = 0x14;
pub(crate) const IA5_STRING: u8 = 0x16;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const VISIBLE_STRING: u8 = 0x1a;
pub(crate) const BMP_STRING: u8 = 0x1e;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// The tag number; all ones mean that more octets follow, which no structure here needs.
pub(crate) const NUMBER_MASK: u8 = 0x1f;
const CLASS_MASK: u8 = 0xc0;
const CONTEXT_SPECIFIC: u8 = 0x80;

/// Constructed `[number]`: an explicit tag, or an implicit one of a constructed type.
pub(crate) const fn explicit(number: u8) -> u8 {
    0xa0 | number
}

/// Primitive `[number]`: an implicit tag of a primitive type.
pub(crate) const fn implicit(number: u8) -> u8 {
    0x80 | number
}

/// Number of a context-specific tag.
pub(crate) const fn context_number(tag: u8) -> Option<u8> {
    if tag & CLASS_MASK == CONTEXT_SPECIFIC {
        Some(tag & NUMBER_MASK)
    } else {
        None
    }
}
