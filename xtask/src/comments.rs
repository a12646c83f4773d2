//! The width of comments in Rust, which rustfmt leaves alone.

use crate::{command::say, paths};
use anyhow::{Context, bail};
use std::{fs, path::Path};

/// Most columns of a line that is a comment, as CONTRIBUTING.md has it.
const WIDTH: usize = 100;

/// Fails if a comment is too wide.
pub(crate) fn check() -> anyhow::Result<()> {
    say("Checking the width of comments in Rust");
    let root = paths::root()?;
    let mut wide = Vec::new();
    collect(&root, &root, &mut wide)?;
    if !wide.is_empty() {
        bail!(
            "wrap these comments, which have more than {WIDTH} columns:\n{}",
            wide.join("\n")
        );
    }
    Ok(())
}

/// Adds the places of comments in a folder that are too wide. Folders of what was built or
/// installed are left out.
fn collect(root: &Path, folder: &Path, wide: &mut Vec<String>) -> anyhow::Result<()> {
    let listing = || format!("listing {}", folder.display());
    for entry in fs::read_dir(folder).with_context(listing)? {
        let entry = entry.with_context(listing)?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                collect(root, &path, wide)?;
            }
        } else if name.ends_with(".rs") {
            let source = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let shown = path.strip_prefix(root).unwrap_or(&path).display();
            wide.extend(lines(&source).map(|line| format!("  {shown}:{line}")));
        }
    }
    Ok(())
}

/// Returns the numbers of lines that are comments and too wide. Rows of tables can't be wrapped,
/// nor can a word that doesn't fit, such as a URL.
fn lines(source: &str) -> impl Iterator<Item = usize> {
    let numbered = (1..).zip(source.lines());
    let wide = numbered.filter(|(_, line)| {
        let text = line.trim_start();
        let Some(comment) = text.strip_prefix("//") else {
            return false;
        };
        let comment = comment.trim_start_matches(['/', '!']).trim_start();
        let margin = columns(line) - columns(comment);
        columns(line) > WIDTH
            && !comment.starts_with('|')
            && comment.split(' ').all(|word| margin + columns(word) <= WIDTH)
    });
    wide.map(|(number, _)| number)
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_too_wide_from_101_columns_on() {
        for marker in ["// ", "/// ", "    //! - "] {
            let text = "é ".repeat(WIDTH);
            let fits: String = marker.chars().chain(text.chars()).take(WIDTH).collect();
            let source = format!("{fits}\nlet code = 1;\n{fits}é\n");
            assert_eq!(lines(&source).collect::<Vec<_>>(), [3], "{marker}");
        }
    }

    #[test]
    fn code_tables_and_long_words_may_be_wide() {
        let words = "word ".repeat(WIDTH);
        for line in [
            format!("let code = \"{words}\";"),
            format!("/// | {words}|"),
            format!("    // See https://example.org/{}.", "a".repeat(WIDTH)),
        ] {
            assert_eq!(lines(&line).count(), 0, "{line}");
        }
    }
}
