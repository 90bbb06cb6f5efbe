//! Distinguished names (RFC 5280 §4.1.2.4).

use std::borrow::Cow;
use std::fmt::Write as _;

use const_oid::ObjectIdentifier;

use crate::asn1::{Malformed, Reader, Writer, tag};
use crate::oid;
use crate::plan::{Subject, SubjectAttributes};

impl Subject {
    /// DER of the `Name`.
    #[must_use]
    pub fn to_der(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Raw(der) => Cow::Borrowed(der),
            Self::Attributes(attributes) => Cow::Owned(attributes.to_der()),
        }
    }
}

impl SubjectAttributes {
    /// DER of the `Name`. All values of one attribute share one RDN, except user ids.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let single = |value: &str| -> Vec<String> {
            if value.is_empty() {
                Vec::new()
            } else {
                vec![value.to_owned()]
            }
        };
        let mut writer = Writer::with_capacity(128);
        writer.sequence(|writer| {
            write_rdn(writer, oid::COUNTRY, &self.country);
            write_rdn(writer, oid::PROVINCE, &self.province);
            write_rdn(writer, oid::LOCALITY, &self.locality);
            write_rdn(writer, oid::STREET_ADDRESS, &self.street_address);
            write_rdn(writer, oid::POSTAL_CODE, &self.postal_code);
            write_rdn(writer, oid::ORGANIZATION, &self.organization);
            write_rdn(writer, oid::ORGANIZATIONAL_UNIT, &self.organizational_unit);
            write_rdn(writer, oid::COMMON_NAME, &single(&self.common_name));
            write_rdn(writer, oid::SERIAL_NUMBER, &single(&self.serial_number));
            for user_id in &self.user_ids {
                write_rdn(writer, oid::USER_ID, std::slice::from_ref(user_id));
            }
        });
        writer.into_bytes()
    }
}

impl SubjectAttributes {
    /// Reads the DER of a `Name`; attributes of other types are left out.
    pub fn parse(name: &[u8]) -> Result<Self, Malformed> {
        let mut attributes = Self::default();
        each_attribute(name, |_, oid, value| {
            let list = match oid {
                oid::COMMON_NAME => {
                    attributes.common_name = value.text()?;
                    return Ok(());
                }
                oid::SERIAL_NUMBER => {
                    attributes.serial_number = value.text()?;
                    return Ok(());
                }
                oid::COUNTRY => &mut attributes.country,
                oid::PROVINCE => &mut attributes.province,
                oid::LOCALITY => &mut attributes.locality,
                oid::STREET_ADDRESS => &mut attributes.street_address,
                oid::POSTAL_CODE => &mut attributes.postal_code,
                oid::ORGANIZATION => &mut attributes.organization,
                oid::ORGANIZATIONAL_UNIT => &mut attributes.organizational_unit,
                oid::USER_ID => &mut attributes.user_ids,
                _ => return Ok(()),
            };
            list.push(value.text()?);
            Ok(())
        })?;
        Ok(attributes)
    }
}

/// The attributes of a name that authorities act on; of several, the last counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameView {
    /// Empty if absent.
    pub common_name: String,
    /// The serialNumber attribute. Empty if absent.
    pub serial_number: String,
    pub user_ids: Vec<String>,
}

impl NameView {
    /// Reads the DER of a `Name`.
    pub fn parse(name: &[u8]) -> Result<Self, Malformed> {
        let mut view = Self::default();
        each_attribute(name, |_, oid, value| {
            match oid {
                oid::COMMON_NAME => view.common_name = value.text()?,
                oid::SERIAL_NUMBER => view.serial_number = value.text()?,
                oid::USER_ID => view.user_ids.push(value.text()?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(view)
    }
}

/// Whether a `Name`, given in DER, says nothing: it has no attributes, or only empty ones.
pub(crate) fn is_blank(name: &[u8]) -> bool {
    each_attribute(name, |_, _, value| {
        if value.text()?.is_empty() {
            Ok(())
        } else {
            Err(Malformed("attribute has a value"))
        }
    })
    .is_ok()
}

/// The DER of a `Name` as text, last RDN first (RFC 4514 §2): `CN=web,O=Example`.
pub fn to_text(name: &[u8]) -> Result<String, Malformed> {
    let mut names: Vec<String> = Vec::new();
    each_attribute(name, |first_in_rdn, oid, value| {
        let mut text = attribute_name(oid).map_or_else(|| oid.to_string(), str::to_owned);
        text.push('=');
        match value.text() {
            Ok(value) => escape_into(&mut text, &value),
            Err(_) => {
                let _ = write!(text, "#{}", hex::encode(value.whole));
            }
        }
        match names.last_mut() {
            Some(last) if !first_in_rdn => {
                last.push('+');
                last.push_str(&text);
            }
            _ => names.push(text),
        }
        Ok(())
    })?;
    names.reverse();
    Ok(names.join(","))
}

fn each_attribute<'a>(
    name: &'a [u8],
    mut visit: impl FnMut(bool, ObjectIdentifier, crate::asn1::Element<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut rdns = Reader::inside(name, tag::SEQUENCE)?;
    while !rdns.is_empty() {
        let mut attributes = rdns.nested(tag::SET)?;
        let mut first_in_rdn = true;
        while !attributes.is_empty() {
            let mut attribute = attributes.sequence()?;
            let oid = attribute.oid()?;
            let value = attribute.next()?;
            attribute.finish()?;
            visit(first_in_rdn, oid, value)?;
            first_in_rdn = false;
        }
    }
    Ok(())
}

fn write_rdn(writer: &mut Writer, oid: ObjectIdentifier, values: &[String]) {
    match values {
        [] => {}
        [value] => writer.nested(tag::SET, |writer| write_attribute(writer, oid, value)),
        values => {
            let mut encoded: Vec<_> = values
                .iter()
                .map(|value| {
                    let mut attribute = Writer::default();
                    write_attribute(&mut attribute, oid, value);
                    attribute.into_bytes()
                })
                .collect();
            // DER sorts the members of a SET OF (X.690 §11.6).
            encoded.sort();
            writer.nested(tag::SET, |writer| {
                for attribute in encoded {
                    writer.raw(&attribute);
                }
            });
        }
    }
}

fn write_attribute(writer: &mut Writer, oid: ObjectIdentifier, value: &str) {
    writer.sequence(|writer| {
        writer.oid(oid);
        if value.bytes().all(is_printable) {
            writer.primitive(tag::PRINTABLE_STRING, value.as_bytes());
        } else {
            writer.utf8_string(value);
        }
    });
}

/// Alphabet of `PrintableString` (X.680 §41.4).
fn is_printable(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&octet)
}

fn attribute_name(oid: ObjectIdentifier) -> Option<&'static str> {
    Some(match oid {
        oid::COMMON_NAME => "CN",
        oid::SERIAL_NUMBER => "SERIALNUMBER",
        oid::COUNTRY => "C",
        oid::LOCALITY => "L",
        oid::PROVINCE => "ST",
        oid::STREET_ADDRESS => "STREET",
        oid::ORGANIZATION => "O",
        oid::ORGANIZATIONAL_UNIT => "OU",
        oid::POSTAL_CODE => "POSTALCODE",
        oid::USER_ID => "UID",
        _ => return None,
    })
}

fn escape_into(text: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (index, character) in value.chars().enumerate() {
        let special = match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
            ' ' => index == 0 || index == last,
            '#' => index == 0,
            _ => false,
        };
        if special {
            text.push('\\');
        }
        text.push(character);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    proptest! {
        #[test]
        fn common_name_reads_back(common_name in ".{1,64}", user_ids in proptest::collection::vec(".{1,9}", 0..3)) {
            let attributes = SubjectAttributes { common_name, user_ids, ..Default::default() };
            let view = NameView::parse(&attributes.to_der()).unwrap();
            prop_assert_eq!(view.common_name, attributes.common_name);
            prop_assert_eq!(view.user_ids, attributes.user_ids);
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes: Vec<u8>) {
            let _ = NameView::parse(&bytes);
            let _ = to_text(&bytes);
        }
    }

    #[test]
    fn attributes_come_in_one_order_and_values_share_an_rdn() {
        let attributes = SubjectAttributes {
            country: names(&["DE"]),
            province: names(&["BE"]),
            locality: names(&["Berlin"]),
            street_address: names(&["Weg 1"]),
            postal_code: names(&["10115"]),
            organization: names(&["Zeta", "Alpha"]),
            organizational_unit: names(&["R&D"]),
            common_name: "web".to_owned(),
            serial_number: "7".to_owned(),
            user_ids: names(&["a", "b"]),
        };
        assert_eq!(
            to_text(&attributes.to_der()).unwrap(),
            "UID=b,UID=a,SERIALNUMBER=7,CN=web,OU=R&D,O=Zeta+O=Alpha,POSTALCODE=10115,\
             STREET=Weg 1,L=Berlin,ST=BE,C=DE"
        );
    }

    #[test]
    fn string_type_follows_the_alphabet() {
        for (value, tag) in [
            ("a.b-C 9:/?", 0x13),
            ("*.x", 0x0c),
            ("a@b", 0x0c),
            ("ü", 0x0c),
            ("a_b", 0x0c),
        ] {
            let attributes = SubjectAttributes {
                common_name: value.to_owned(),
                ..Default::default()
            };
            assert_eq!(attributes.to_der()[11], tag, "{value}");
        }
    }

    #[test]
    fn no_attribute_gives_an_empty_name() {
        assert_eq!(SubjectAttributes::default().to_der(), [0x30, 0]);
        assert_eq!(to_text(&[0x30, 0]).unwrap(), "");
    }

    #[test]
    fn reads_an_organization_of_no_characters() {
        let name = [0x30, 11, 0x31, 9, 0x30, 7, 6, 3, 0x55, 4, 10, 0x13, 0];
        assert_eq!(NameView::parse(&name), Ok(NameView::default()));
        assert_eq!(to_text(&name).unwrap(), "O=");
    }

    #[test]
    fn special_characters_are_escaped() {
        let attributes = SubjectAttributes {
            common_name: "#a, b ".to_owned(),
            ..Default::default()
        };
        assert_eq!(to_text(&attributes.to_der()).unwrap(), "CN=\\#a\\, b\\ ");
    }
}
