//! `gateway generate`: the command line's own description, as manual pages and completions. Hidden: packages call it, people do not.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, Subcommand};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::Cli;

/// Administration commands, as man(7) numbers them: nobody but root has use for them.
const SECTION: &str = "8";
const MANUAL: &str = "System administration";
/// Those that most users have.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

const EXAMPLES: &str = "\
Examples:
  gateway generate man man8               gateway.8, gateway-run.8 and so on
  gateway generate completions out        gateway.bash, _gateway and gateway.fish";

/// Arguments of `gateway generate`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct GenerateArgs {
    /// What to write
    #[command(subcommand)]
    pub what: What,
}

/// What there is to write.
#[derive(Clone, Debug, Subcommand)]
pub enum What {
    /// A manual page in section 8 for the program, and one for each of its commands
    Man {
        /// Where to; it is made
        directory: PathBuf,
    },
    /// Completions for bash, zsh and fish
    Completions {
        /// Where to; it is made
        directory: PathBuf,
    },
}

/// Writes the files, over older ones.
#[must_use]
pub fn generate(args: &GenerateArgs) -> ExitCode {
    let (directory, result) = match &args.what {
        What::Man { directory } => (directory, manual(directory)),
        What::Completions { directory } => (directory, completions(directory)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write into {}: {error}", directory.display());
            ExitCode::FAILURE
        }
    }
}

fn manual(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let commands: Vec<clap::Command> = program.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    let mut pages = vec!["gateway-policy(5)".to_owned()];
    pages.extend(commands.iter().map(|command| format!("gateway-{}({SECTION})", command.get_name())));
    for command in commands {
        page(directory, command, &["gateway(8)".to_owned(), "gateway-policy(5)".to_owned()])?;
    }
    page(directory, program, &pages)
}

fn page(directory: &Path, command: clap::Command, see_also: &[String]) -> io::Result<()> {
    let examples = command.get_after_help().map(ToString::to_string);
    let has_commands = command.has_subcommands();
    // Of the program, for every command.
    let source = format!("gateway {}", env!("CARGO_PKG_VERSION"));
    let page = Man::new(command).section(SECTION).source(source).manual(MANUAL);
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if has_commands {
        page.render_subcommands_section(&mut text)?;
    }
    let mut end = Roff::default();
    if let Some(examples) = examples {
        // Line by line: columns would not survive a paragraph.
        end.control("SH", ["EXAMPLES"]).control("nf", []);
        for line in examples.lines().filter(|line| *line != "Examples:") {
            end.text([roman(line)]);
        }
        end.control("fi", []);
    }
    end.control("SH", ["SEE ALSO"]).text([roman(see_also.join(", "))]);
    end.to_writer(&mut text)?;
    fs::write(directory.join(page.get_filename()), text)
}

fn completions(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut Cli::command(), "gateway", directory)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(write: impl FnOnce(&Path) -> io::Result<()>) -> Vec<(String, String)> {
        let home = tempfile::tempdir().unwrap();
        write(&home.path().join("new")).unwrap();
        let entries = fs::read_dir(home.path().join("new")).unwrap().map(|entry| entry.unwrap());
        let mut files: Vec<_> =
            entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())).collect();
        files.sort();
        files
    }

    /// The commands that people see.
    fn commands() -> Vec<String> {
        let command = Cli::command();
        command.get_subcommands().filter(|c| !c.is_hide_set()).map(|c| c.get_name().to_owned()).collect()
    }

    #[test]
    fn every_command_has_a_page_and_the_program_names_them_all() {
        let pages = files(manual);
        let mut wanted: Vec<String> = commands().iter().map(|command| format!("gateway-{command}.8")).collect();
        wanted.push("gateway.8".to_owned());
        wanted.sort();
        assert_eq!(pages.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), wanted);
        assert!(pages.iter().all(|(_, page)| !page.contains("help(8)")), "a page that does not exist");
        let (_, program) = pages.iter().find(|(name, _)| name == "gateway.8").unwrap();
        for command in commands() {
            assert!(program.contains(&format!("gateway\\-{command}(8)")), "{command}");
        }
        for (name, page) in &pages {
            assert!(page.starts_with(".ie") && page.contains(".SH SYNOPSIS") && page.contains("gateway\\-policy(5)"), "{name}:\n{page}");
            assert!(!page.contains("generate"), "{name} tells of a hidden command");
        }
    }

    #[test]
    fn three_shells_complete_commands_and_their_options() {
        let scripts = files(completions);
        assert_eq!(scripts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["_gateway", "gateway.bash", "gateway.fish"]);
        for (name, script) in &scripts {
            for word in commands().iter().map(String::as_str).chain(["instance", "json"]) {
                assert!(script.contains(word), "{name} lacks {word}");
            }
        }
    }
}
