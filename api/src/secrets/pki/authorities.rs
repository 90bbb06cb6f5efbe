//! Issuers and keys come and go: one commit each time, chains and defaults included.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use signet_pki::cert::Certificate;
use signet_pki::chain::{self, Member};
use signet_pki::key::{KeyFormat, PrivateKey, PublicKey};
use signet_pki::plan::KeyUsage;
use signet_pki::vet::LeafNotAfterBehavior;
use signet_storage::{Batch, Expect, Record};
use zeroize::Zeroizing;

use crate::error::ApiError;
use crate::random::uuid;
use crate::secrets::pki::Pki;
use crate::secrets::pki::records::{
    ISSUERS_CONFIG, IssuerRecord, IssuersConfig, KEYS_CONFIG, KeyRecord, KeysConfig, REVISION,
    Usage, issuer_path, key_path,
};
use crate::secrets::pki::state::State;
use crate::time::Timestamp;

/// Issuers and keys as they will be after a commit.
pub(super) struct Draft<'s> {
    engine: &'s Pki,
    state: &'s State,
    issuers: Vec<DraftIssuer>,
    keys: Vec<DraftKey>,
    pub(super) issuers_config: IssuersConfig,
    pub(super) keys_config: KeysConfig,
    /// Something was taken out.
    removed: bool,
    now: Timestamp,
}

struct DraftIssuer {
    record: IssuerRecord,
    certificate: Certificate,
    changed: bool,
}

struct DraftKey {
    id: String,
    name: String,
    public_key: PublicKey,
    /// Present when it has to be written.
    record: Option<KeyRecord>,
}

/// An object that was asked to be there, and whether it was there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) id: String,
    pub(super) existed: bool,
}

impl<'s> Draft<'s> {
    pub(super) fn new(engine: &'s Pki, state: &'s State, now: Timestamp) -> Self {
        let issuers = state
            .issuers
            .iter()
            .map(|issuer| DraftIssuer {
                record: issuer.record.clone(),
                certificate: issuer.certificate.clone(),
                changed: false,
            })
            .collect();
        let keys = state
            .keys
            .iter()
            .map(|key| DraftKey {
                id: key.record.id.clone(),
                name: key.record.name.clone(),
                public_key: key.key.public_key().clone(),
                record: None,
            })
            .collect();
        Self {
            engine,
            state,
            issuers,
            keys,
            issuers_config: state.issuers_config.clone(),
            keys_config: state.keys_config.clone(),
            removed: false,
            now,
        }
    }

    /// Adds a key, unless the mount has it. The first key of a mount becomes its default; issuers
    /// that waited for it are linked to it.
    pub(super) fn add_key(&mut self, key: &PrivateKey, name: &str) -> Result<Placed, ApiError> {
        let public_key = key.public_key();
        if let Some(known) = self
            .keys
            .iter()
            .find(|known| known.public_key == *public_key)
        {
            return Ok(Placed {
                id: known.id.clone(),
                existed: true,
            });
        }
        let id = uuid(self.engine.env.environment.rng.as_ref())?;
        let pkcs8 = key.to_der(KeyFormat::Pkcs8).map_err(ApiError::internal)?;
        let record = KeyRecord {
            id: id.clone(),
            name: name.to_owned(),
            pkcs8: Zeroizing::new(pkcs8.to_vec()),
        };
        self.keys.push(DraftKey {
            id: id.clone(),
            name: name.to_owned(),
            public_key: public_key.clone(),
            record: Some(record),
        });
        if self.keys_config.default.is_empty() {
            self.keys_config.default.clone_from(&id);
        }
        for issuer in &mut self.issuers {
            if issuer.record.key_id.is_empty() && issuer.certificate.public_key() == public_key {
                issuer.record.key_id.clone_from(&id);
                issuer.changed = true;
                if self.issuers_config.default.is_empty() {
                    self.issuers_config.default.clone_from(&issuer.record.id);
                }
            }
        }
        Ok(Placed { id, existed: false })
    }

    /// Adds an issuer, unless the mount has its certificate; linked to its key if that is here.
    pub(super) fn add_issuer(
        &mut self,
        certificate: &Certificate,
        name: &str,
        revocation_signature_algorithm: &str,
    ) -> Result<Placed, ApiError> {
        let known = self
            .issuers
            .iter()
            .find(|known| known.certificate.der() == certificate.der());
        if let Some(known) = known {
            return Ok(Placed {
                id: known.record.id.clone(),
                existed: true,
            });
        }
        let id = uuid(self.engine.env.environment.rng.as_ref())?;
        let key = self
            .keys
            .iter()
            .find(|key| key.public_key == *certificate.public_key());
        let may_sign_crls = certificate
            .key_usage()
            .is_some_and(|usage| usage.contains(KeyUsage::CRL_SIGN));
        let record = IssuerRecord {
            id: id.clone(),
            name: name.to_owned(),
            key_id: key.map(|key| key.id.clone()).unwrap_or_default(),
            certificate: certificate.der().to_vec(),
            chain: Vec::new(),
            manual_chain: Vec::new(),
            usage: Usage {
                crl_signing: may_sign_crls,
                ..Usage::ALL
            },
            leaf_not_after: LeafNotAfterBehavior::default(),
            revocation_signature_algorithm: revocation_signature_algorithm.to_owned(),
            revoked_at: None,
            aia: None,
            modified_at: self.now,
        };
        let certificate = certificate.clone();
        self.issuers.push(DraftIssuer {
            record,
            certificate,
            changed: true,
        });
        Ok(Placed { id, existed: false })
    }

    /// Takes issuers out; their keys stay, and a default among them is one no more.
    pub(super) fn remove_issuers(&mut self, ids: &[String], batch: &mut Batch) {
        self.issuers
            .retain(|issuer| !ids.contains(&issuer.record.id));
        for id in ids {
            self.removed = true;
            self.engine.env.view.delete(batch, &issuer_path(id));
        }
        if ids.contains(&self.issuers_config.default) {
            self.issuers_config.default.clear();
        }
    }

    /// Takes a key out, which is the default key no more.
    pub(super) fn remove_key(&mut self, id: &str, batch: &mut Batch) {
        self.keys.retain(|key| key.id != id);
        self.removed = true;
        self.engine.env.view.delete(batch, &key_path(id));
        if self.keys_config.default == id {
            self.keys_config.default.clear();
        }
    }

    /// Takes all issuers and keys out.
    pub(super) fn remove_everything(&mut self, batch: &mut Batch) {
        let issuers: Vec<String> = self.issuers.iter().map(|i| i.record.id.clone()).collect();
        self.remove_issuers(&issuers, batch);
        let keys: Vec<String> = self.keys.iter().map(|key| key.id.clone()).collect();
        for id in keys {
            self.remove_key(&id, batch);
        }
    }

    /// Puts the record of an issuer in the place of the one that it has.
    pub(super) fn replace_issuer(&mut self, record: IssuerRecord) {
        let found = self
            .issuers
            .iter_mut()
            .find(|issuer| issuer.record.id == record.id);
        if let Some(issuer) = found {
            issuer.changed = true;
            issuer.record = IssuerRecord {
                modified_at: self.now,
                ..record
            };
        }
    }

    /// Gives a key another name; empty for none.
    pub(super) fn rename_key(&mut self, record: &KeyRecord, name: &str) {
        let found = self.keys.iter_mut().find(|key| key.id == record.id);
        if let Some(key) = found {
            name.clone_into(&mut key.name);
            key.record = Some(KeyRecord {
                name: name.to_owned(),
                ..record.clone()
            });
        }
    }

    /// Chooses the default issuer after `added` came: the first with a key if there was none, the
    /// latest where the mount follows that. Gives the warning of a choice that was not made.
    pub(super) fn choose_default(&mut self, added: &[Placed]) -> Option<String> {
        let keyed: Vec<String> = added
            .iter()
            .filter(|placed| !placed.existed && !self.key_of(&placed.id).is_empty())
            .map(|placed| placed.id.clone())
            .collect();
        let first = keyed.first()?;
        if self.issuers_config.default.is_empty() {
            self.issuers_config.default.clone_from(first);
            return (keyed.len() > 1).then(|| {
                "The imported bundle contained multiple certs matching keys, the default issuer \
                 that was selected should be verified and manually changed if incorrect."
                    .to_owned()
            });
        }
        if !self.issuers_config.default_follows_latest_issuer {
            return None;
        }
        if keyed.len() > 1 {
            return Some(
                "Default issuer left unchanged: could not select new issuer automatically as \
                 multiple imported issuers had key material in Vault."
                    .to_owned(),
            );
        }
        self.issuers_config.default.clone_from(first);
        None
    }

    /// The id of an issuer's key; empty for none.
    pub(super) fn key_of(&self, issuer_id: &str) -> &str {
        self.issuers
            .iter()
            .find(|issuer| issuer.record.id == issuer_id)
            .map_or("", |issuer| issuer.record.key_id.as_str())
    }

    /// Issuer ids and the ids of their keys, for those that `ids` names.
    pub(super) fn mapping(&self, ids: &[Placed]) -> BTreeMap<String, String> {
        ids.iter()
            .map(|placed| (placed.id.clone(), self.key_of(&placed.id).to_owned()))
            .collect()
    }

    /// Is the name taken by another issuer?
    pub(super) fn issuer_name_taken(&self, name: &str, own_id: &str) -> bool {
        self.issuers
            .iter()
            .any(|issuer| issuer.record.name == name && issuer.record.id != own_id)
    }

    /// Is the name taken by another key?
    pub(super) fn key_name_taken(&self, name: &str, own_id: &str) -> bool {
        self.keys
            .iter()
            .any(|key| key.name == name && key.id != own_id)
    }

    /// The name of a key; empty for none.
    pub(super) fn key_name(&self, id: &str) -> &str {
        self.keys
            .iter()
            .find(|key| key.id == id)
            .map_or("", |key| key.name.as_str())
    }

    /// Recomputes the chains and writes what changed. Two changes at once cannot both succeed.
    pub(super) fn write(mut self, batch: &mut Batch) -> Result<(), ApiError> {
        if !self.is_changed() {
            return Ok(());
        }
        let view = &self.engine.env.view;
        // Chains prefer parents in this order.
        self.issuers.sort_by(|a, b| b.record.id.cmp(&a.record.id));
        let chains = self.chains()?;
        for (issuer, chain) in self.issuers.iter_mut().zip(chains) {
            if issuer.record.chain != chain {
                issuer.record.chain = chain;
                issuer.changed = true;
            }
        }
        for issuer in self.issuers.iter().filter(|issuer| issuer.changed) {
            view.put_record(batch, &issuer_path(&issuer.record.id), &issuer.record)?;
        }
        for record in self.keys.iter().filter_map(|key| key.record.as_ref()) {
            view.put_record(batch, &key_path(&record.id), record)?;
        }
        view.put_record(batch, ISSUERS_CONFIG, &self.issuers_config)?;
        view.put_record(batch, KEYS_CONFIG, &self.keys_config)?;
        let expect = self.state.revision.map_or(Expect::Absent, Expect::Version);
        view.expect(batch, REVISION, expect);
        view.put_record(batch, REVISION, &Revision {})?;
        Ok(())
    }

    fn is_changed(&self) -> bool {
        self.removed
            || self.issuers.iter().any(|issuer| issuer.changed)
            || self.keys.iter().any(|key| key.record.is_some())
            || self.issuers_config != self.state.issuers_config
            || self.keys_config != self.state.keys_config
    }

    fn chains(&self) -> Result<Vec<Vec<String>>, ApiError> {
        let members: Vec<Member<'_>> = self
            .issuers
            .iter()
            .map(|issuer| Member {
                certificate: &issuer.certificate,
                manual_chain: (!issuer.record.manual_chain.is_empty()).then(|| {
                    let position =
                        |id: &String| self.issuers.iter().position(|other| other.record.id == *id);
                    issuer
                        .record
                        .manual_chain
                        .iter()
                        .filter_map(position)
                        .collect()
                }),
            })
            .collect();
        let chains = chain::build(&members).map_err(|error| {
            ApiError::bad_request(format!("error building issuer chains: {error}"))
        })?;
        let id = |position: &usize| {
            self.issuers
                .get(*position)
                .map(|issuer| issuer.record.id.clone())
        };
        Ok(chains
            .iter()
            .map(|chain| chain.iter().filter_map(id).collect())
            .collect())
    }
}

/// Changes with every change of issuers and keys.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Revision {}

impl Record for Revision {
    const FORMAT: u8 = 1;
}
