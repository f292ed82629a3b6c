//! Interrupted commands say how to go on.

use std::path::Path;

use longtail_head::HeadError;
use longtail_train::TrainError;

use crate::printer::Hint;

/// Whether the user stopped it.
pub fn is_interruption(error: &anyhow::Error) -> bool {
    error.downcast_ref::<TrainError>().is_some_and(TrainError::is_interruption)
        || error.downcast_ref::<HeadError>().is_some_and(HeadError::is_interruption)
}

/// Puts the command that goes on under the error of an interrupted run; other errors stay as they are.
pub fn with_resume_hint<T>(result: Result<T, impl Into<anyhow::Error>>, run: &Path) -> anyhow::Result<T> {
    hinted(result, || resume_command(std::env::args().skip(1), run))
}

/// The same for commands that go on when they are given again.
pub fn with_repeat_hint<T>(result: Result<T, impl Into<anyhow::Error>>) -> anyhow::Result<T> {
    hinted(result, || command(std::env::args().skip(1)))
}

fn hinted<T>(result: Result<T, impl Into<anyhow::Error>>, command: impl Fn() -> String) -> anyhow::Result<T> {
    result.map_err(|error| {
        let error = error.into();
        if is_interruption(&error) {
            error.context(Hint(format!("go on with  {}", command())))
        } else {
            error
        }
    })
}

/// The command as typed, with `--out` and `--resume` where they are missing.
fn resume_command(arguments: impl Iterator<Item = String>, run: &Path) -> String {
    let mut arguments: Vec<String> = arguments.collect();
    if !arguments.iter().any(|a| a == "--out" || a.starts_with("--out=")) {
        arguments.extend(["--out".to_owned(), run.display().to_string()]);
    }
    if !arguments.iter().any(|a| a == "--resume") {
        arguments.push("--resume".to_owned());
    }
    command(arguments.into_iter())
}

fn command(arguments: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = std::iter::once("longtail".to_owned()).chain(arguments.map(quoted)).collect();
    words.join(" ")
}

/// An argument as a shell takes it.
fn quoted(argument: String) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument;
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resumed(arguments: &[&str]) -> String {
        resume_command(arguments.iter().map(|a| (*a).to_owned()), Path::new("runs/small/1"))
    }

    #[test]
    fn the_command_is_complete_and_can_be_pasted() {
        assert_eq!(
            resumed(&["train", "my.toml", "--set", "a = \"it's\""]),
            r#"longtail train my.toml --set 'a = "it'\''s"' --out runs/small/1 --resume"#
        );
        assert_eq!(
            resumed(&["train", "my.toml", "--out=x", "--resume"]),
            "longtail train my.toml --out=x --resume"
        );
    }
}
