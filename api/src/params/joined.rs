//! Parameters that several endpoints have in common, beside those of one.

use serde_json::{Map, Value};

use super::{Field, FieldError, FieldKind, Params};

/// The parameters of an endpoint's own and those that it shares, as one table.
#[derive(Debug)]
pub(crate) struct Joined<P, C> {
    pub(crate) own: P,
    pub(crate) common: C,
}

/// Of one endpoint. Where there are more it does not compile.
const MOST_FIELDS: usize = 64;

impl<P: Params, C: Params> Joined<P, C> {
    const COUNT: usize = P::FIELDS.len() + C::FIELDS.len();
    const PLACES: [Field; MOST_FIELDS] = one_behind_the_other(P::FIELDS, C::FIELDS);
    const ALL: &'static [Field] = &Self::PLACES;
}

impl<P: Params, C: Params> Params for Joined<P, C> {
    const FIELDS: &'static [Field] = Self::ALL.split_at(Self::COUNT).0;

    fn take(data: &mut Map<String, Value>) -> Result<Self, FieldError> {
        Ok(Self {
            own: P::take(data)?,
            common: C::take(data)?,
        })
    }
}

const fn one_behind_the_other(mut own: &[Field], mut common: &[Field]) -> [Field; MOST_FIELDS] {
    let mut all = [Field::new("", FieldKind::Any, ""); MOST_FIELDS];
    let mut places: &mut [Field] = &mut all;
    while let Some((place, rest)) = places.split_first_mut() {
        if let Some((next, others)) = own.split_first() {
            *place = *next;
            own = others;
        } else if let Some((next, others)) = common.split_first() {
            *place = *next;
            common = others;
        } else {
            break;
        }
        places = rest;
    }
    all
}
