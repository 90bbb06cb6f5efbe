//! Certificate requests for keys of our own.

use crate::asn1::{Writer, tag};
use crate::ext::write;
use crate::key::{KeyError, PrivateKey, SignatureAlgorithm};
use crate::oid;
use crate::plan::{BasicConstraints, SignaturePreference, SubjectAltNames, SubjectAttributes};

/// The content of a certificate request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsrPlan {
    pub subject: SubjectAttributes,
    pub sans: SubjectAltNames,
    /// Asks for `CA:TRUE`.
    pub authority: bool,
    pub signature: SignaturePreference,
}

impl CsrPlan {
    /// DER of the request, signed with `key`.
    pub fn sign(&self, key: &PrivateKey) -> Result<Vec<u8>, KeyError> {
        let algorithm = SignatureAlgorithm::choose(key.kind(), self.signature);
        let mut info = Writer::with_capacity(512);
        info.sequence(|writer| {
            writer.small_unsigned(0);
            writer.raw(&self.subject.to_der());
            writer.raw(key.public_key().spki_der());
            writer.nested(tag::explicit(0), |writer| self.write_attributes(writer));
        });
        let signature = key.sign(algorithm, info.as_bytes())?;
        let mut request = Writer::with_capacity(info.as_bytes().len() + signature.len() + 64);
        request.sequence(|writer| {
            writer.raw(info.as_bytes());
            algorithm.write_identifier(writer);
            writer.bit_string(&signature);
        });
        Ok(request.into_bytes())
    }

    fn write_attributes(&self, writer: &mut Writer) {
        let named = self.sans != SubjectAltNames::default();
        if !named && !self.authority {
            return;
        }
        writer.sequence(|writer| {
            writer.oid(oid::EXTENSION_REQUEST);
            writer.nested(tag::SET, |writer| {
                writer.sequence(|writer| {
                    if named {
                        write::subject_alt_names(writer, &self.sans, false);
                    }
                    if self.authority {
                        let constraints = BasicConstraints::Authority { path_len: None };
                        write::basic_constraints(writer, constraints);
                    }
                });
            });
        });
    }
}
