//! What there is to run, and which of it was asked for.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;

use crate::exceptions::Exceptions;
use crate::names::NAMES;
use crate::server::{Ports, Target};

/// A suite that is a folder of this crate with a program `run` in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// Also the folder's name.
    pub(crate) name: &'static str,
    /// What it proves, in a line.
    pub(crate) about: &'static str,
    /// Runs only when it is asked for by name.
    pub(crate) on_demand: bool,
}

/// In the order in which they run.
pub(crate) const PROGRAMS: [Program; 8] = [
    Program {
        name: "python",
        about: "hvac over all that is served; cryptography reads and verifies all that is issued",
        on_demand: false,
    },
    Program {
        name: "lint",
        about: "pkilint over certificates, revocation lists and OCSP answers of every kind",
        on_demand: false,
    },
    Program {
        name: "rust",
        about: "vaultrs; rustls-webpki on ring verifies all that is issued",
        on_demand: false,
    },
    Program {
        name: "go",
        about: "vault/api; cert-manager's own controllers; Go's ACME client; crypto/x509 and go-spiffe verify all that is issued",
        on_demand: false,
    },
    Program {
        name: "cli",
        about: "the walk-through and the command line beside the reference's, each typed into both",
        on_demand: false,
    },
    Program {
        name: "envoy",
        about: "two workloads behind two Envoys, certificates over HTTP and gRPC: mutual TLS, refusals, rotation under traffic",
        on_demand: false,
    },
    Program {
        name: "kubernetes",
        about: "etcd, kube-apiserver and cert-manager: the article's resources, what Signet keeps in a cluster, token reviews",
        on_demand: true,
    },
    Program {
        name: "docker",
        about: "the image, and the play of docker-compose.yml: the article, two workloads with mutual TLS, a restart",
        on_demand: true,
    },
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Suite {
    /// A folder below `cases/`.
    Cases(String),
    Program(&'static Program),
    /// Random roles and requests, judged by the reference.
    Names,
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cases(area) => f.write_str(area),
            Self::Program(program) => f.write_str(program.name),
            Self::Names => f.write_str(NAMES),
        }
    }
}

/// What all suites of one run share.
pub(crate) struct Run<'a, W> {
    pub(crate) target: &'a Target,
    pub(crate) ports: Ports,
    /// The folder of this crate.
    pub(crate) home: PathBuf,
    pub(crate) exceptions: Exceptions,
    /// Write the answers down instead of comparing them.
    pub(crate) record: bool,
    pub(crate) out: W,
    /// Names of the cases that were played.
    pub(crate) ran: Vec<String>,
}

/// The suites that `asked` names; without a name all that do not run on demand only.
pub(crate) fn choose(asked: &[String], areas: &[String]) -> Result<Vec<Suite>, String> {
    let named = |name: &str| asked.iter().any(|one| one == name);
    let known = |name: &String| {
        ["cases", NAMES].contains(&name.as_str())
            || areas.contains(name)
            || PROGRAMS.iter().any(|program| program.name == name)
    };
    if let Some(unknown) = asked.iter().find(|name| !known(name)) {
        return Err(format!("no suite {unknown}; --list shows what there is"));
    }
    let all = asked.is_empty();
    let areas = areas
        .iter()
        .filter(|area| all || named("cases") || named(area))
        .cloned()
        .map(Suite::Cases);
    let programs = PROGRAMS
        .iter()
        .filter(|program| named(program.name) || (all && !program.on_demand))
        .map(Suite::Program);
    let random = (all || named(NAMES)).then_some(Suite::Names);
    Ok(areas.chain(random).chain(programs).collect())
}

/// A line for each suite.
pub(crate) fn describe(areas: &[String], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "cases        recorded answers: {}", areas.join(", "))?;
    writeln!(
        out,
        "{NAMES:12} random roles and requests, to Signet and the reference"
    )?;
    for program in &PROGRAMS {
        let on_demand = if program.on_demand {
            " (on demand)"
        } else {
            ""
        };
        writeln!(out, "{:12} {}{on_demand}", program.name, program.about)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(asked: &[&str]) -> Result<Vec<String>, String> {
        let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
        let areas = ["acl".to_owned(), "sys".to_owned()];
        let chosen = choose(&asked, &areas)?;
        Ok(chosen.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn without_a_name_everything_runs_that_is_not_on_demand() {
        let mut expected = vec!["acl", "sys", NAMES];
        expected.extend(
            PROGRAMS
                .iter()
                .filter(|program| !program.on_demand)
                .map(|program| program.name),
        );
        assert_eq!(names(&[]).unwrap(), expected);
    }

    #[test]
    fn a_name_is_a_suite_or_a_folder_of_cases() {
        assert_eq!(names(&["sys", "python"]).unwrap(), ["sys", "python"]);
        assert_eq!(names(&["cases"]).unwrap(), ["acl", "sys"]);
        assert!(names(&["nonesuch"]).unwrap_err().contains("nonesuch"));
    }

    #[test]
    fn no_folder_of_cases_is_called_as_a_suite_is() {
        let areas = crate::cases::areas(env!("CARGO_MANIFEST_DIR").as_ref()).unwrap();
        for name in PROGRAMS.iter().map(|program| program.name).chain([NAMES]) {
            assert!(!areas.contains(&name.to_owned()), "{name}");
        }
    }
}
