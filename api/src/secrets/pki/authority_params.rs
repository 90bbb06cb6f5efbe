//! The parameters that say who an authority is, which all endpoints that make one have in common.

/// Declares parameters like [`params!`](crate::params::params), with those of an authority's
/// identity added to them.
macro_rules! authority_params {
    (
        $vis:vis struct $name:ident { $($own:tt)* }
        $(ignored { $($ignored:tt)* })?
    ) => {
        $crate::params::params! {
            $vis struct $name {
                $($own)*
                /// The common name of the authority.
                common_name: String,
                /// DNS names and email addresses, separated by commas.
                alt_names: String,
                /// IP addresses.
                ip_sans: $crate::params::CommaList,
                /// URIs.
                uri_sans: $crate::params::CommaList,
                /// Other names, each as `OID;UTF8:value`.
                other_sans: $crate::params::CommaList,
                /// Do not add the common name to the subject alternative names.
                exclude_cn_from_sans: bool,
                /// Organizational units of the subject.
                ou: $crate::params::CommaList,
                /// Organizations of the subject.
                organization: $crate::params::CommaList,
                /// Countries of the subject.
                country: $crate::params::CommaList,
                /// Localities of the subject.
                locality: $crate::params::CommaList,
                /// Provinces of the subject.
                province: $crate::params::CommaList,
                /// Street addresses of the subject.
                street_address: $crate::params::CommaList,
                /// Postal codes of the subject.
                postal_code: $crate::params::CommaList,
                /// The subject's serialNumber attribute.
                serial_number: String,
            }
            $(ignored { $($ignored)* })?
        }

        impl $name {
            /// Takes out what says who the authority is.
            fn take_identity(&mut self) -> signet_pki::vet::AuthorityIdentity {
                use std::mem::take;
                signet_pki::vet::AuthorityIdentity {
                    common_name: take(&mut self.common_name),
                    alt_names: take(&mut self.alt_names),
                    ip_sans: take(&mut self.ip_sans.0),
                    uri_sans: take(&mut self.uri_sans.0),
                    other_sans: take(&mut self.other_sans.0),
                    exclude_cn_from_sans: self.exclude_cn_from_sans,
                    serial_number: take(&mut self.serial_number),
                    ou: take(&mut self.ou.0),
                    organization: take(&mut self.organization.0),
                    country: take(&mut self.country.0),
                    locality: take(&mut self.locality.0),
                    province: take(&mut self.province.0),
                    street_address: take(&mut self.street_address.0),
                    postal_code: take(&mut self.postal_code.0),
                }
            }
        }
    };
}
pub(super) use authority_params;
