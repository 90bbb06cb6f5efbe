//! The specimens, judged by rustls-webpki with the algorithms of ring.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde::Deserialize;
use webpki::{EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};

use crate::{Outcome, Report, ensure};

#[derive(Deserialize)]
struct Specimen {
    name: String,
    kind: String,
    file: String,
    issuer: String,
    #[serde(default)]
    ca: bool,
    #[serde(default)]
    usages: Vec<String>,
    #[serde(default)]
    dns: Vec<String>,
}

/// Content octets of the identifiers of purposes (RFC 5280, 4.2.1.12).
const PURPOSES: [(&str, &[u8]); 4] = [
    ("server", &[0x2b, 6, 1, 5, 5, 7, 3, 1]),
    ("client", &[0x2b, 6, 1, 5, 5, 7, 3, 2]),
    ("code", &[0x2b, 6, 1, 5, 5, 7, 3, 3]),
    ("email", &[0x2b, 6, 1, 5, 5, 7, 3, 4]),
];

pub(crate) fn run(folder: &Path, report: &mut Report) {
    let collection = match Collection::load(folder) {
        Ok(collection) => collection,
        Err(error) => return report.add("reading the specimens", Err(error)),
    };
    for specimen in collection
        .specimens
        .values()
        .filter(|specimen| !specimen.ca)
    {
        report.add(&specimen.name, collection.judge(specimen));
    }
}

struct Collection {
    specimens: BTreeMap<String, Specimen>,
    certificates: BTreeMap<String, CertificateDer<'static>>,
}

impl Collection {
    fn load(folder: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let all: Vec<Specimen> =
            serde_json::from_slice(&std::fs::read(folder.join("index.json"))?)?;
        let mut collection = Self {
            specimens: BTreeMap::new(),
            certificates: BTreeMap::new(),
        };
        for specimen in all
            .into_iter()
            .filter(|specimen| specimen.kind == "certificate")
        {
            let der = std::fs::read(folder.join(&specimen.file))?;
            collection
                .certificates
                .insert(specimen.name.clone(), der.into());
            collection.specimens.insert(specimen.name.clone(), specimen);
        }
        Ok(collection)
    }

    /// Verifies for each purpose, and wants success for those alone that the certificate is for.
    fn judge(&self, specimen: &Specimen) -> Outcome {
        let mut between = Vec::new();
        let mut issuer = &self.specimens[&specimen.issuer];
        while issuer.issuer != issuer.name {
            between.push(self.certificates[&issuer.name].clone());
            issuer = &self.specimens[&issuer.issuer];
        }
        let root = anchor_from_trusted_cert(&self.certificates[&issuer.name])?;
        let certificate = EndEntityCert::try_from(&self.certificates[&specimen.name])?;
        let now = UnixTime::since_unix_epoch(SystemTime::now().duration_since(UNIX_EPOCH)?);
        for (purpose, identifier) in PURPOSES {
            let found = certificate.verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                std::slice::from_ref(&root),
                &between,
                now,
                KeyUsage::required_if_present(identifier),
                None,
                None,
            );
            let wanted = specimen.usages.iter().any(|usage| usage == purpose);
            match found.map(|_| ()) {
                // ring has no P-521.
                Err(
                    Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
                    | Error::UnsupportedSignatureAlgorithmContext(_),
                ) if issuer.name.starts_with("p521") => {}
                Ok(()) => ensure(wanted, format!("good for {purpose}"))?,
                Err(error) => ensure(!wanted, format!("for {purpose}: {error:?}"))?,
            }
        }
        for name in &specimen.dns {
            certificate
                .verify_is_valid_for_subject_name(&ServerName::try_from(name.replace('*', "x"))?)?;
        }
        let elsewhere = ServerName::try_from("elsewhere.invalid")?;
        ensure(
            certificate
                .verify_is_valid_for_subject_name(&elsewhere)
                .is_err(),
            "good for any host",
        )
    }
}
