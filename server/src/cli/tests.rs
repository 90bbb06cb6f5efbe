//! Whole command lines, without a server.

use super::*;
use crate::cli::test_ui::TestUi;

fn run_line(line: &[&str]) -> (u8, String, String) {
    let mut streams = TestUi::with_input("");
    let line = line.iter().map(|&word| word.to_owned()).collect();
    let code = run_with(line, &Environment::default(), &mut streams.ui());
    (code, streams.out(), streams.err())
}

#[test]
fn the_declared_commands_are_consistent() {
    Line::command().debug_assert();
}

#[test]
fn prints_the_version_under_every_spelling() {
    for line in [
        ["vault", "-version"],
        ["vault", "version"],
        ["vault", "-v"],
        ["vault", "--version"],
    ] {
        let (code, out, _) = run_line(&line);
        assert_eq!(
            (code, out.split(' ').nth(1)),
            (0, Some("v1.19.5")),
            "{line:?}"
        );
    }
}

#[test]
fn help_names_the_tool_that_was_called() {
    let (code, out, _) = run_line(&["vault", "secrets", "enable", "-h"]);
    assert_eq!(code, 0);
    assert!(
        out.starts_with("Usage: vault secrets enable [options] TYPE\n"),
        "{out}"
    );
    assert!(
        out.contains("\nHTTP Options:\n\n  -address=<string>\n"),
        "{out}"
    );
    assert!(out.contains("\n  -max-lease-ttl=<duration>\n"), "{out}");
}

#[test]
fn every_command_has_help() {
    fn visit(command: &clap::Command, path: &mut Vec<String>) {
        assert!(
            command.get_about().is_some() || path.is_empty(),
            "{path:?} has no about"
        );
        for flag in command
            .get_arguments()
            .filter(|argument| argument.get_long().is_some())
        {
            assert!(
                flag.get_help().is_some(),
                "{path:?} {} has no help",
                flag.get_id()
            );
        }
        for subcommand in command.get_subcommands() {
            path.push(subcommand.get_name().to_owned());
            visit(subcommand, path);
            path.pop();
        }
    }
    visit(&Line::command(), &mut Vec::new());
}

#[test]
fn an_unknown_command_shows_usage_and_exits_127() {
    let (code, out, err) = run_line(&["signet", "nope"]);
    assert_eq!((code, out.as_str()), (127, ""));
    assert!(err.starts_with("Usage: signet <command> [args]\n"), "{err}");
    assert_eq!(run_line(&["signet", "secrets", "nope"]).0, 1);
}

#[test]
fn names_a_bad_value_as_go_does() {
    let (code, _, err) = run_line(&["vault", "secrets", "enable", "-max-lease-ttl=abc", "pki"]);
    assert_eq!(code, 1);
    assert_eq!(
        err,
        "invalid value \"abc\" for flag -max-lease-ttl: time: invalid duration \"abc\"\n"
    );
    let (_, _, err) = run_line(&["vault", "read", "-header=b", "x"]);
    assert_eq!(
        err,
        "invalid value \"b\" for flag -header: missing = in KV pair: \"b\"\n"
    );
}

#[test]
fn a_stray_blank_in_a_pair_fails_before_anything_is_sent() {
    let line = [
        "vault",
        "write",
        "pki/root/generate/internal",
        "common_name=",
        "RH Custom Root CA",
    ];
    let (code, out, err) = run_line(&line);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(
        err,
        "Failed to parse K=V data: invalid key/value pair \"RH Custom Root CA\": format must be key=value\n"
    );
}

#[test]
fn counts_arguments_in_vaults_words() {
    for (line, text) in [
        (
            vec!["vault", "secrets", "enable"],
            "Not enough arguments (expected 1, got 0)\n",
        ),
        (
            vec!["vault", "secrets", "enable", "a", "b"],
            "Too many arguments (expected 1, got 2)\n",
        ),
        (
            vec!["vault", "token", "capabilities"],
            "Not enough arguments (expected 1-2, got 0)\n",
        ),
        (
            vec!["vault", "write", "p"],
            "Must supply data or use -force\n",
        ),
        (
            vec!["vault", "read", "-format=bogus", "x"],
            "Invalid output format: bogus\n",
        ),
    ] {
        let (code, _, err) = run_line(&line);
        assert_eq!((code, err.as_str()), (1, text), "{line:?}");
    }
}

#[test]
fn enable_sends_what_vault_sends() {
    let line = [
        "vault",
        "secrets",
        "enable",
        "-output-curl-string",
        "-max-lease-ttl=87600h",
        "pki",
    ];
    let (code, out, err) = run_line(&line);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "curl -X POST -H \"X-Vault-Request: true\" -d '{\"type\":\"pki\",\"description\":\"\",\
         \"config\":{\"options\":null,\"default_lease_ttl\":\"0s\",\"max_lease_ttl\":\"87600h0m0s\",\
         \"force_no_cache\":false},\"local\":false,\"seal_wrap\":false,\
         \"external_entropy_access\":false,\"options\":null}' \
         \"https://127.0.0.1:8200/v1/sys/mounts/pki\"\n"
    );
}

#[test]
fn prints_completions_for_the_name_it_was_called_by() {
    let (code, out, _) = run_line(&["vault", "completion", "bash"]);
    assert_eq!(code, 0);
    assert!(out.contains("complete -F _vault"), "{out}");
}
