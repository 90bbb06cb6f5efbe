//! Values of extensions, from bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::asn1::{Malformed, Reader, tag};
use crate::plan::{BasicConstraints, KeyUsage, OtherName, RawExtension, SubjectAltNames};

/// `Extensions` (RFC 5280 §4.1): the content of the outer SEQUENCE.
pub(crate) fn extensions(mut reader: Reader<'_>) -> Result<Vec<RawExtension>, Malformed> {
    let mut extensions: Vec<RawExtension> = Vec::new();
    while !reader.is_empty() {
        let extension = extension(&mut reader)?;
        if extensions
            .iter()
            .any(|earlier| earlier.oid == extension.oid)
        {
            return Err(Malformed("extension occurs twice"));
        }
        if extensions.len() >= MAX_EXTENSIONS {
            return Err(Malformed("too many extensions"));
        }
        extensions.push(extension);
    }
    Ok(extensions)
}

fn extension(reader: &mut Reader<'_>) -> Result<RawExtension, Malformed> {
    let mut extension = reader.sequence()?;
    let oid = extension.oid()?;
    let critical = extension.optional_boolean()?;
    let value = extension.take(tag::OCTET_STRING)?.content.to_vec();
    extension.finish()?;
    Ok(RawExtension {
        oid,
        critical,
        value,
    })
}

/// `SubjectAltName` (RFC 5280 §4.2.1.6). Name types other than those of [`SubjectAltNames`] and
/// otherNames that are not `UTF8String` are passed over.
pub(crate) fn subject_alt_names(value: &[u8]) -> Result<SubjectAltNames, Malformed> {
    let mut names = SubjectAltNames::default();
    let mut reader = Reader::inside(value, tag::SEQUENCE)?;
    let mut count = 0_usize;
    while !reader.is_empty() {
        count += 1;
        if count > MAX_ALT_NAMES {
            return Err(Malformed("too many subject alternative names"));
        }
        let name = reader.next()?;
        let Some(number) = tag::context_number(name.tag) else {
            return Err(Malformed("unexpected tag in subject alternative name"));
        };
        match number {
            0 => names.others.extend(utf8_other_name(name.reader())?),
            1 => names.emails.push(ascii(name.content)?),
            2 => names.dns.push(ascii(name.content)?),
            6 => names.uris.push(ascii(name.content)?),
            7 => names.ips.push(ip_address(name.content)?),
            3..=5 | 8 => {}
            _ => return Err(Malformed("unknown type of subject alternative name")),
        }
    }
    Ok(names)
}

fn utf8_other_name(mut reader: Reader<'_>) -> Result<Option<OtherName>, Malformed> {
    let oid = reader.oid()?;
    let mut explicit = reader.nested(tag::explicit(0))?;
    let value = explicit.next()?;
    if value.tag != tag::UTF8_STRING {
        return Ok(None);
    }
    Ok(Some(OtherName {
        oid,
        value: value.text()?,
    }))
}

fn ascii(content: &[u8]) -> Result<String, Malformed> {
    str::from_utf8(content)
        .ok()
        .filter(|text| text.is_ascii())
        .map(str::to_owned)
        .ok_or(Malformed("subject alternative name is not ASCII"))
}

fn ip_address(content: &[u8]) -> Result<IpAddr, Malformed> {
    if let Ok(octets) = <[u8; 4]>::try_from(content) {
        Ok(Ipv4Addr::from(octets).into())
    } else if let Ok(octets) = <[u8; 16]>::try_from(content) {
        Ok(Ipv6Addr::from(octets).into())
    } else {
        Err(Malformed("IP address is neither 4 nor 16 octets long"))
    }
}

/// `KeyUsage` (RFC 5280 §4.2.1.3).
pub(crate) fn key_usage(value: &[u8]) -> Result<KeyUsage, Malformed> {
    let mut reader = Reader::new(value);
    let content = reader.take(tag::BIT_STRING)?.content;
    reader.finish()?;
    let Some((0..8, octets)) = content.split_first() else {
        return Err(Malformed("key usage is not a bit string"));
    };
    let bits = octets
        .iter()
        .take(2)
        .enumerate()
        .fold(0, |bits, (index, octet)| {
            bits | (u16::from(octet.reverse_bits()) << (8 * index))
        });
    Ok(KeyUsage(bits))
}

/// `BasicConstraints` (RFC 5280 §4.2.1.9).
pub(crate) fn basic_constraints(value: &[u8]) -> Result<BasicConstraints, Malformed> {
    let mut reader = Reader::inside(value, tag::SEQUENCE)?;
    let authority = reader.optional_boolean()?;
    let path_len = match reader.optional(tag::INTEGER)? {
        None => None,
        Some(integer) => Some(
            u32::try_from(integer.small_unsigned()?)
                .map_err(|_| Malformed("path length is too large"))?,
        ),
    };
    reader.finish()?;
    Ok(if authority {
        BasicConstraints::Authority { path_len }
    } else {
        BasicConstraints::EndEntity
    })
}

/// `SubjectKeyIdentifier` (RFC 5280 §4.2.1.2).
pub(crate) fn subject_key_id(value: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new(value);
    let identifier = reader.take(tag::OCTET_STRING)?.content.to_vec();
    reader.finish()?;
    Ok(identifier)
}

/// `keyIdentifier` of `AuthorityKeyIdentifier` (RFC 5280 §4.2.1.1).
pub(crate) fn authority_key_id(value: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
    let mut reader = Reader::inside(value, tag::SEQUENCE)?;
    let identifier = reader.optional(tag::implicit(0))?;
    Ok(identifier.map(|identifier| identifier.content.to_vec()))
}

const MAX_EXTENSIONS: usize = 128;
const MAX_ALT_NAMES: usize = 2048;
