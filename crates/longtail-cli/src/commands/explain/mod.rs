//! `longtail explain`: what the types of a recipe say of themselves, in words.

mod methods;
mod recipe;
mod reference;

use crate::{
    Outcome,
    args::Explain,
    printer::{Printer, columns},
    tables::sentences,
};

/// Columns of text that goes to a file or a pipe.
const COLUMNS_ELSEWHERE: usize = 110;

/// Runs a subcommand.
pub fn run(command: &Explain, printer: &Printer) -> anyhow::Result<Outcome> {
    match command {
        Explain::Loss { name } => methods::losses(name.as_deref(), printer),
        Explain::Correction { name } => methods::corrections(name.as_deref(), printer),
        Explain::Recipe { key, format } => recipe::run(key.as_deref(), *format, printer),
    }
}

/// A table of sentences: they wrap at a width that can be read, also where there is no terminal.
fn page_text(heading: &[&str], rows: &[Vec<String>]) -> String {
    sentences(heading, rows, text_columns())
}

/// Columns of sentences on standard output.
fn text_columns() -> usize {
    columns().unwrap_or(COLUMNS_ELSEWHERE)
}

/// A paragraph in lines of so many columns; a longer word has a line of its own.
fn wrapped(text: &str, columns: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > columns {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

/// A doc comment as one paragraph, without the marks of links and code.
fn plain(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace("[`", "").replace("`]", "").replace('`', "")
}

/// The known word that is written most alike, if one is alike at all.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |other: &str| strsim::osa_distance(word, other);
    let best = known.iter().min_by_key(|other| distance(other))?;
    (distance(best) <= word.chars().count().max(3) / 3).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_wrap_between_words() {
        assert_eq!(wrapped("one two  three", 7), "one two\nthree");
        assert_eq!(wrapped("incomprehensible", 3), "incomprehensible");
    }

    #[test]
    fn a_slip_of_the_fingers_is_understood_and_another_word_is_not() {
        assert_eq!(nearest("ascl", &["bags", "acsl"]), Some("acsl"));
        assert_eq!(nearest("lenght", &["length", "name"]), Some("length"));
        assert_eq!(nearest("hinge", &["bags", "acsl"]), None);
    }
}
